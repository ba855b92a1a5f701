//! Entries in the event log of Windows, for administrators: nothing of a user, and nothing secret.
#![allow(unsafe_code)]

use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::HANDLE;
use windows_sys::Win32::System::EventLog::{
    DeregisterEventSource, EVENTLOG_ERROR_TYPE, EVENTLOG_INFORMATION_TYPE, EVENTLOG_WARNING_TYPE, RegisterEventSourceW, ReportEventW,
};

use crate::windows::wide;

/// How bad it is; the event's number too, by which administrators filter.
#[derive(Debug, Clone, Copy)]
pub(super) enum Level {
    Information = 1,
    Warning = 2,
    Error = 3,
}

/// The log, under our own source.
pub(super) struct EventLog(HANDLE);

impl EventLog {
    /// Opens it. Where that fails nothing is written: the service is there for certificates.
    pub(super) fn open(source: &str) -> Self {
        let source = wide(source);
        // SAFETY: `source` ends with a zero.
        Self(unsafe { RegisterEventSourceW(null(), source.as_ptr()) })
    }

    pub(super) fn write(&self, level: Level, text: &str) {
        let kind = match level {
            Level::Information => EVENTLOG_INFORMATION_TYPE,
            Level::Warning => EVENTLOG_WARNING_TYPE,
            Level::Error => EVENTLOG_ERROR_TYPE,
        };
        let text = wide(text);
        // SAFETY: a source that could not be opened is refused; there is one text, and it ends with a zero.
        unsafe { ReportEventW(self.0, kind, 0, level as u32, null_mut(), 1, 0, &text.as_ptr(), null()) };
    }
}

impl Drop for EventLog {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle.
        unsafe { DeregisterEventSource(self.0) };
    }
}

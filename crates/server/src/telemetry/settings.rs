//! Where telemetry is sent, by the environment variables that every program with OpenTelemetry reads
//! (opentelemetry.io/docs/specs/otel/protocol/exporter, and …/configuration/sdk-environment-variables).
//!
//! Nothing is sent anywhere unless an endpoint is given. What cannot be done as it is asked for is an error, not something else instead.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// How long one request may take, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often figures are sent, unless `OTEL_METRIC_EXPORT_INTERVAL` says otherwise.
const INTERVAL: Duration = Duration::from_secs(60);

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Spans of requests.
    Traces,
    /// Figures.
    Metrics,
    /// What is logged, and the audit log.
    Logs,
}

/// Where each signal is sent.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Spans.
    pub traces: Option<Target>,
    /// Figures.
    pub metrics: Option<Target>,
    /// Logs.
    pub logs: Option<Target>,
    /// How often figures are sent.
    pub interval: Duration,
}

/// How OTLP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `http/protobuf`
    Http,
    /// `grpc`
    Grpc,
}

/// A place that takes one signal, by OTLP with protobuf.
#[derive(Clone)]
pub struct Target {
    /// How it is spoken to.
    pub protocol: Protocol,
    /// Its address.
    pub url: Url,
    /// What is sent along: often a secret.
    pub headers: HeaderMap,
    /// How long one request may take.
    pub patience: Duration,
    /// The only authorities that are believed there, PEM. `None`: those of the system.
    pub authority: Option<PathBuf>,
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Target").field("place", &self.place()).finish_non_exhaustive()
    }
}

/// Why the environment cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Another protocol.
    #[error("{variable}: '{value}' is not spoken here; say http/protobuf, whose port is usually 4318, or grpc, whose port is usually 4317")]
    Protocol {
        /// Where it stands.
        variable: String,
        /// What stands there.
        value: String,
    },
    /// Something that cannot be read.
    #[error("{variable} cannot be read: {problem}")]
    Malformed {
        /// Where it stands.
        variable: String,
        /// What is wrong with it. Never its value, which may be a secret.
        problem: String,
    },
}

impl Signal {
    fn word(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    fn service(self) -> &'static str {
        match self {
            Self::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            Self::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            Self::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Metrics => "v1/metrics",
            Self::Logs => "v1/logs",
        }
    }
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn from_environment() -> Result<Self, SettingsError> {
        Self::read(&|name| std::env::var(name).ok())
    }

    /// Reads `environment`. What is empty counts as not there.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn read(environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let environment = Environment(environment);
        if environment.value("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(Self::default());
        }
        let target = |signal| environment.target(signal);
        let interval = environment.milliseconds("OTEL_METRIC_EXPORT_INTERVAL")?.unwrap_or(INTERVAL);
        Ok(Self { traces: target(Signal::Traces)?, metrics: target(Signal::Metrics)?, logs: target(Signal::Logs)?, interval })
    }

    /// True if nothing is sent.
    pub fn is_silent(&self) -> bool {
        self.traces.is_none() && self.metrics.is_none() && self.logs.is_none()
    }
}

impl Target {
    /// Its address without what may be a secret in it.
    pub fn place(&self) -> String {
        let mut url = self.url.clone();
        // Both fail only for addresses that have no host, and those are refused.
        let _ = (url.set_username(""), url.set_password(None));
        url.set_query(None);
        url.set_fragment(None);
        url.to_string()
    }
}

struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    fn value(&self, name: &str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The value for one signal, or that for all; and where it stands.
    fn either(&self, signal: Signal, ending: &str) -> Option<(String, String)> {
        let names = [format!("OTEL_EXPORTER_OTLP_{}_{ending}", signal.word()), format!("OTEL_EXPORTER_OTLP_{ending}")];
        names.into_iter().find_map(|name| self.value(&name).map(|value| (name, value)))
    }

    fn target(&self, signal: Signal) -> Result<Option<Target>, SettingsError> {
        let exporter = format!("OTEL_{}_EXPORTER", signal.word());
        match self.value(&exporter).as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(_) => return Err(malformed(exporter, "only `otlp` and `none` are known here")),
        }
        let protocol = match self.either(signal, "PROTOCOL") {
            None => Protocol::Http,
            Some((_, value)) if value == "http/protobuf" => Protocol::Http,
            Some((_, value)) if value == "grpc" => Protocol::Grpc,
            Some((variable, value)) => return Err(SettingsError::Protocol { variable, value }),
        };
        let Some(url) = self.url(signal, protocol)? else { return Ok(None) };
        let patience = match self.either(signal, "TIMEOUT") {
            Some((name, _)) => self.milliseconds(&name)?.unwrap_or(PATIENCE),
            None => PATIENCE,
        };
        let authority = self.either(signal, "CERTIFICATE").map(|(_, path)| path.into());
        Ok(Some(Target { protocol, url, headers: self.headers(signal)?, patience, authority }))
    }

    /// By HTTP, the address for one signal is taken as it is, and below the one for all each signal has its path. By gRPC only the host counts:
    /// what is called says its service.
    fn url(&self, signal: Signal, protocol: Protocol) -> Result<Option<Url>, SettingsError> {
        let Some((name, value)) = self.either(signal, "ENDPOINT") else { return Ok(None) };
        let is_base = name == "OTEL_EXPORTER_OTLP_ENDPOINT" && protocol == Protocol::Http;
        let whole = if is_base { format!("{}/{}", value.trim_end_matches('/'), signal.path()) } else { value };
        match Url::parse(&whole) {
            Ok(mut url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                if protocol == Protocol::Grpc {
                    url.set_path(signal.service());
                    url.set_query(None);
                }
                Ok(Some(url))
            }
            Ok(_) => Err(malformed(name, "it is no http:// or https:// address")),
            Err(error) => Err(malformed(name, &error.to_string())),
        }
    }

    /// `name=value` pairs between commas, values percent-encoded.
    fn headers(&self, signal: Signal) -> Result<HeaderMap, SettingsError> {
        let mut headers = HeaderMap::new();
        let Some((variable, list)) = self.either(signal, "HEADERS") else { return Ok(headers) };
        for pair in list.split(',').filter(|pair| !pair.trim().is_empty()) {
            let unreadable = || malformed(variable.clone(), "it is no list of name=value between commas");
            let (name, value) = pair.split_once('=').ok_or_else(unreadable)?;
            let value = percent_decode_str(value.trim()).decode_utf8().map_err(|_| unreadable())?;
            let mut value = HeaderValue::from_str(&value).map_err(|_| unreadable())?;
            value.set_sensitive(true);
            headers.insert(name.trim().parse::<HeaderName>().map_err(|_| unreadable())?, value);
        }
        Ok(headers)
    }

    fn milliseconds(&self, name: &str) -> Result<Option<Duration>, SettingsError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match value.parse() {
            Ok(number) if number > 0 => Ok(Some(Duration::from_millis(number))),
            _ => Err(malformed(name.to_owned(), "it is no number of milliseconds")),
        }
    }
}

fn malformed(variable: String, problem: &str) -> SettingsError {
    SettingsError::Malformed { variable, problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::read(&find)
    }

    #[test]
    fn without_an_endpoint_nothing_is_sent() {
        for variables in [
            &[][..],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")],
            &[("OTEL_SERVICE_NAME", "tegata"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"), ("OTEL_SDK_DISABLED", "true")],
        ] {
            assert!(read(variables).unwrap().is_silent(), "{variables:?}");
        }
    }

    #[test]
    fn each_signal_has_its_path_below_the_base_and_its_own_address_as_it_is() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/otlp/"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example/in?key=1"),
            ("OTEL_METRICS_EXPORTER", "none"),
        ])
        .unwrap();
        assert_eq!(settings.traces.unwrap().url.as_str(), "http://c:4318/otlp/v1/traces");
        let logs = settings.logs.unwrap();
        assert_eq!((logs.url.as_str(), logs.place().as_str()), ("https://logs.example/in?key=1", "https://logs.example/in"));
        assert!(settings.metrics.is_none());
    }

    #[test]
    fn by_grpc_only_the_host_counts() {
        let settings = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://logs.example:4317/v1/logs"),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ])
        .unwrap();
        let shown = [&settings.traces, &settings.metrics, &settings.logs].map(|target| target.as_ref().unwrap().url.to_string());
        let expected = [
            "http://c:4317/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            "http://c:4317/v1/metrics",
            "https://logs.example:4317/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn headers_are_decoded_and_never_shown() {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:word@c"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20geheim, x-a = b"),
        ];
        let logs = read(&variables).unwrap().logs.unwrap();
        assert_eq!((&logs.headers["authorization"], &logs.headers["x-a"]), (&"Bearer geheim".parse().unwrap(), &"b".parse().unwrap()));
        let shown = format!("{logs:?} {:?}", logs.headers);
        assert!(!shown.contains("geheim") && !shown.contains("word"), "{shown}");
    }

    #[test]
    fn what_cannot_be_followed_is_an_error_that_quotes_no_secret() {
        let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318");
        for wrong in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "thrift"),
            ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "geheim"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "c:4317"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
        ] {
            let error = read(&[wrong, base]).unwrap_err().to_string();
            assert!(error.contains(wrong.0) && !error.contains("geheim"), "{error}");
        }
    }
}

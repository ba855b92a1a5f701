//! Other servers on the same database: what they change rings here too.

use crate::audit::Ledger;
use crate::bells::Bells;
use crate::recovery::History;
use crate::store::signals::Signal;

/// Passes on what others say, for ever.
pub async fn listen(ledger: Ledger, bells: Bells) {
    loop {
        let signal = ledger.store().overheard().await;
        if matches!(signal, Signal::Past | Signal::Everything) {
            look_back(&ledger).await;
        }
        match signal {
            Signal::Turn => bells.ring_turn(),
            Signal::Post => bells.ring_post(),
            Signal::Carrier => bells.ring_carrier(),
            Signal::Records => ledger.hear_of_records(),
            Signal::Past => {}
            Signal::Device(tenant, device) => {
                if let (Ok(tenant), Ok(device)) = (tenant.parse(), device.parse()) {
                    bells.ring_device(&tenant, &device);
                }
            }
            Signal::Everything => {
                bells.ring_all();
                ledger.hear_of_records();
            }
        }
    }
}

/// Whether the database was put back, and whether that is on record by now.
async fn look_back(ledger: &Ledger) {
    match ledger.store().epochs().await {
        Ok(epochs) => ledger.settle(History::of(&epochs)),
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "it is not known whether the database was put back"),
    }
}

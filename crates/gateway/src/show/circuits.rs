//! The circuits that an application builds by hand, as a gateway shows and steers them.

use crate::host::gateway::Gateway;
use crate::mule::{CircuitFault, CircuitStatus, Circuits, Steer};

impl Gateway {
    fn hand_made(&self) -> Circuits {
        let shared = &self.0.shared;
        Circuits::of(shared.live.load().app.clone(), shared.clock.clone())
    }

    /// The circuits that the flows of the present plan build by hand, as their entries say now.
    ///
    /// # Errors
    /// Where an object store does not answer.
    pub async fn circuits(&self) -> Result<Vec<CircuitStatus>, CircuitFault> {
        self.hand_made().all().await
    }

    /// The circuit of a name; `None`: there is none.
    ///
    /// # Errors
    /// Where its object store does not answer.
    pub async fn circuit(&self, name: &str) -> Result<Option<CircuitStatus>, CircuitFault> {
        self.hand_made().find(name).await
    }

    /// Does what an operator wants with a circuit; `None`: there is none of that name.
    ///
    /// # Errors
    /// Where its object store does not answer, or its entry is not one that can be written so.
    pub async fn steer(
        &self,
        name: &str,
        steer: Steer,
    ) -> Result<Option<CircuitStatus>, CircuitFault> {
        self.hand_made().steer(name, steer).await
    }
}

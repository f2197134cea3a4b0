//! The circuits that an application builds by hand, as a gateway shows and steers them.

use std::sync::Arc;

use crate::app::{App, Circuit, CircuitFault, Steer};
use crate::host::gateway::Gateway;

impl Gateway {
    /// The circuits that the present plan's application builds by hand, as their entries say now.
    ///
    /// # Errors
    /// Where an object store does not answer.
    pub async fn circuits(&self) -> Result<Vec<Circuit>, CircuitFault> {
        match self.app() {
            Some(app) => app.circuits().await,
            None => Ok(Vec::new()),
        }
    }

    /// The circuit of a name; `None`: there is none.
    ///
    /// # Errors
    /// Where its object store does not answer.
    pub async fn circuit(&self, name: &str) -> Result<Option<Circuit>, CircuitFault> {
        match self.app() {
            Some(app) => app.circuit(name).await,
            None => Ok(None),
        }
    }

    /// Does what an operator wants with a circuit; `None`: there is none of that name.
    ///
    /// # Errors
    /// Where its object store does not answer, or its entry is not one that can be written so.
    pub async fn steer(&self, name: &str, steer: Steer) -> Result<Option<Circuit>, CircuitFault> {
        match self.app() {
            Some(app) => app.steer(name, steer).await,
            None => Ok(None),
        }
    }

    fn app(&self) -> Option<Arc<dyn App>> {
        self.0.shared.live.load().app.clone()
    }
}

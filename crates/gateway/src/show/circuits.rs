//! The hand-made circuits of an application, with an operator's commands.

use std::sync::Arc;

use crate::app::{App, Circuit, CircuitFault, Steer};
use crate::host::gateway::Gateway;

impl Gateway {
    /// The hand-made circuits of the present plan's application, as their entries are now.
    ///
    /// # Errors
    /// If an object store does not answer.
    pub async fn circuits(&self) -> Result<Vec<Circuit>, CircuitFault> {
        match self.app() {
            Some(app) => app.circuits().await,
            None => Ok(Vec::new()),
        }
    }

    /// The circuit of a name; `None` without one.
    ///
    /// # Errors
    /// If its object store does not answer.
    pub async fn circuit(&self, name: &str) -> Result<Option<Circuit>, CircuitFault> {
        match self.app() {
            Some(app) => app.circuit(name).await,
            None => Ok(None),
        }
    }

    /// Carries out an operator's command on a circuit; `None`: no circuit has that name.
    ///
    /// # Errors
    /// If its object store does not answer, or its entry cannot be changed so.
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

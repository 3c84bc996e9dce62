//! Arguments of long-running processes: read as typed, so that all that is wrong with them is said at once.

use std::net::SocketAddr;

use clap::ValueEnum;

use crate::model::problem::Problem;
use crate::settings::network::Network;

/// What was resolved; else its problem is put beside the others.
pub fn kept<T>(problems: &mut Vec<Problem>, resolved: Result<T, Problem>) -> Option<T> {
    resolved.map_err(|problem| problems.push(problem)).ok()
}

/// An address and port.
pub fn address(argument: &str, text: &str) -> Result<SocketAddr, Problem> {
    let hint = "such as 127.0.0.1:8080, or 0.0.0.0:8080 in a pod";
    text.parse().map_err(|_| Problem::new(argument, format!("`{text}` is no address and port")).hint(hint))
}

/// Networks, separated by commas; none if there is nothing.
pub fn networks(argument: &str, text: &str) -> Result<Vec<Network>, Problem> {
    let one = |word: &str| {
        let hint = "such as 10.0.0.0/8, or several with commas between them";
        word.parse().map_err(|()| Problem::new(argument, format!("`{word}` is no network")).hint(hint))
    };
    text.split(',').filter(|word| !word.is_empty()).map(one).collect()
}

/// One of a closed list.
pub fn choice<T: ValueEnum>(argument: &str, text: &str) -> Result<T, Problem> {
    T::from_str(text, false).map_err(|_| {
        let names: Vec<String> = T::value_variants().iter().map(typed).collect();
        Problem::new(argument, format!("`{text}` is not known")).hint(format!("one of: {}", names.join(", ")))
    })
}

/// A value of a closed list, as it is typed.
pub fn typed<T: ValueEnum>(value: &T) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

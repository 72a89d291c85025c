//! What the last lines of a log tell about an end. PURE.

/// Whether Jupyter's last lines say that its port was taken: Jupyter Server and Notebook 6 word it alike.
pub(super) fn port_taken(tail: &[String]) -> bool {
    tail.iter().any(|line| {
        line.contains("is already in use")
            || line.contains("because port") && line.contains("is not available")
    })
}

/// Whether a line is the last of a Python traceback: `ModuleNotFoundError: No module named 'x'`.
pub(super) fn is_exception(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| {
        let name = name.rsplit('.').next().unwrap_or(name);
        (name.ends_with("Error") || name.ends_with("Exception"))
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// Whether that line says that a package is missing.
pub(super) fn is_import_error(line: &str) -> bool {
    line.starts_with("ModuleNotFoundError") || line.starts_with("ImportError")
}

//! How a service's process is started again after it died.

/// The arguments of an `ipcontroller` that takes the place of one that died: it reads the wiring from the connection files and
/// the engines from the hub's list. It would take its own internal ports from the first of `--ports`, which are
/// the files' own; those that it finds by itself are on the loopback address, where no firewall stands.
#[must_use]
pub fn controller_again(args: &[String]) -> Vec<String> {
    let restored = ["--reuse", "--restore"];
    args.iter()
        .filter(|arg| !arg.starts_with("--ports=") && !restored.contains(&arg.as_str()))
        .cloned()
        .chain(restored.map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::controller_again;

    #[test]
    fn a_controller_again_reads_its_wiring_and_takes_no_port_of_it() {
        let args = ["--ip=10.0.0.1", "--ports=7000-7017", "--nodb"].map(str::to_owned);
        assert_eq!(
            controller_again(&args),
            ["--ip=10.0.0.1", "--nodb", "--reuse", "--restore"]
        );
        assert_eq!(
            controller_again(&controller_again(&args)),
            controller_again(&args)
        );
    }
}

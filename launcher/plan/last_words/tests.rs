use super::*;

/// What an end with this code is told to be, by the lines of a log.
fn told(code: i32, log: &str) -> Option<String> {
    let tail: Vec<String> = log.lines().map(str::to_owned).collect();
    LastWords::read(&Exit::Code(code), &tail).map(|words| words.to_string())
}

/// An engine's log up to a task that failed, as ipyparallel 9.2 writes it.
const TASK_FAILED: &str = "\
2026-11-26 19:23:27.636 [IPEngine.0.0] Completed registration with id 0
2026-11-26 19:23:28.526 [IPEngine.0.0] Handling apply_request: 97034ef0_1
2026-11-26 19:23:28.897 [IPEngine.0.0] Exception in apply request:
---------------------------------------------------------------------------
ValueError                                Traceback (most recent call last)
File /venv/lib/python3.11/site-packages/ipyparallel/engine/kernel.py:157, in IPythonParallelKernel.do_apply
    155 code = f\"{resultname} = {fname}\"
File /tmp/c.py:4, in bad()
      3 def bad():
----> 4     raise ValueError('bad input in step 3')
ValueError: bad input in step 3
";

/// What the nanny writes when the engine has ended.
const NANNY: &str = "\
2026-11-26 19:23:35.834 [KernelNanny.0] Pipe closed, parent 8923 has status: zombie
2026-11-26 19:23:35.835 [KernelNanny.0] Notifying Hub that our parent has shut down
";

const UNCAUGHT: &str = "\
Traceback (most recent call last):
  File \"/venv/bin/ipengine\", line 8, in <module>
    sys.exit(main())
             ^^^^^^
  File \"/usr/lib/python3.11/json/decoder.py\", line 353, in raw_decode
    obj, end = self.scan_once(s, idx)
json.decoder.JSONDecodeError: Expecting ':' delimiter: line 2 column 1 (char 5)
";

#[test]
fn a_task_that_failed_before_is_no_cause() {
    for log in [
        TASK_FAILED.to_owned(),
        format!("{TASK_FAILED}{NANNY}"),
        format!("{TASK_FAILED}2026-11-26 19:23:29 [IPEngine.0.0] Handling apply_request: 2\n"),
        // `%xmode Plain` has the form of Python's own.
        format!("2026-11-26 19:23:28 [IPEngine.0] Exception in apply request:\n{UNCAUGHT}"),
        format!("Exception in thread Thread-3 (f):\n{UNCAUGHT}"),
        format!(
            "Exception in thread Thread-3 (f):\n{UNCAUGHT}During handling of the above exception, another exception occurred:\n{UNCAUGHT}"
        ),
        format!(
            "Task exception was never retrieved\nfuture: <Task finished name='Task-9'>\n{UNCAUGHT}"
        ),
        format!("[E 2026-11-26 19:25:47.788 ServerApp] Uncaught exception GET /x\n{UNCAUGHT}"),
        format!("{UNCAUGHT}2026-11-26 19:23:29 [IPEngine.0.0] Completed registration with id 0\n"),
        // It was caught, and the program went on.
        format!("{UNCAUGHT}{}", "step done\n".repeat(100)),
    ] {
        assert_eq!(told(1, &log), None, "{log}");
    }
}

#[test]
fn an_exception_that_nobody_caught_is_the_cause_of_exit_code_1() {
    let last = "json.decoder.JSONDecodeError: Expecting ':' delimiter: line 2 column 1 (char 5)";
    let chain = "The above exception was the direct cause of the following exception:";
    for log in [
        UNCAUGHT.to_owned(),
        format!("{TASK_FAILED}{UNCAUGHT}"),
        format!("{UNCAUGHT}{NANNY}"),
        format!("2026-11-26 19:23:27 [IPEngine.0] Starting nanny\n{UNCAUGHT}"),
        format!("Exception in thread T:\nTraceback (most recent call last):\nE: x\n{UNCAUGHT}"),
        format!(
            "Traceback (most recent call last):\n  File \"x\"\nKeyError: 'y'\n{chain}\n{UNCAUGHT}"
        ),
        format!("0: ipjob-engine world of 2\n{UNCAUGHT}").replace('\n', "\n0: "),
    ] {
        assert_eq!(told(1, &log).as_deref(), Some(last), "{log}");
        // What `os._exit(7)` ended was not ended by it.
        assert_eq!(told(7, &log), None, "{log}");
        let signal = Exit::Signal {
            number: 11,
            name: "SIGSEGV".to_owned(),
        };
        let tail: Vec<String> = log.lines().map(str::to_owned).collect();
        assert_eq!(LastWords::read(&signal, &tail), None);
    }
    // One without a message, and one with several lines.
    let begin = "Traceback (most recent call last):\n  File \"x\"";
    assert_eq!(
        told(1, &format!("{begin}\nKeyboardInterrupt")).as_deref(),
        Some("KeyboardInterrupt")
    );
    assert_eq!(
        told(
            1,
            &format!("{begin}\nImportError: read this:\nfirst\n second")
        )
        .as_deref(),
        Some("ImportError: read this:")
    );
    let numpys = format!(
        "{begin}\nImportError: read this:\n{}",
        "advice\n".repeat(16)
    );
    assert_eq!(told(1, &numpys).as_deref(), Some("ImportError: read this:"));
}

#[test]
fn what_a_program_gives_up_for_is_the_cause() {
    let signal = format!(
        "2026-11-26 19:23:35.689 [IPEngine.0.0] CRITICAL | received signal 15, stopping\n{UNCAUGHT}{NANNY}"
    );
    assert_eq!(
        told(1, &signal).as_deref(),
        Some("received signal 15, stopping"),
        "and not the exception that came of it"
    );
    let both = "\
2026-11-26 19:25:42.133 [IPController] CRITICAL | Received signal 15, shutting down
2026-11-26 19:25:42.136 [IPController] CRITICAL | terminating children...";
    assert_eq!(
        told(1, both).as_deref(),
        Some("Received signal 15, shutting down")
    );
    let bad = "No such directory: ''/nosuch''";
    let jupyter = format!("[C 2026-11-26 19:25:52.349 ServerApp] {bad}");
    assert_eq!(told(1, &jupyter).as_deref(), Some(bad));
    let notebook_6 = format!("[C 19:25:52.349 NotebookApp] {bad}");
    assert_eq!(told(1, &notebook_6).as_deref(), Some(bad));
    let address = "\
[C 2026-11-26 19:25:58.330 ServerApp] 
    To access the server, open this file in a browser:
        http://localhost:8888/lab?token=secret";
    assert_eq!(told(1, address), None);
    let before = format!("{both}\n2026-11-26 19:25:43 [IPController] Hub listening\n");
    assert_eq!(told(1, &before), None, "it went on");
    assert_eq!(told(1, "the program's own words"), None);
}

#[test]
fn a_nanny_that_cannot_start_is_told_with_the_file_that_was_in_its_way() {
    let log = "\
2026-11-26 19:22:27.7 [IPEngine.0.0] Starting nanny
Traceback (most recent call last):
  File \"/usr/lib/python3.11/tempfile.py\", line 184, in <module>
    from random import Random as _Random
ImportError: cannot import name 'Random' from 'random' (/home/ada/random.py)
2026-11-26 19:22:27.865 [IPEngine.0.0] CRITICAL | Error completing registration: nanny failed
Traceback (most recent call last):
  File \"/venv/lib/python3.11/site-packages/ipyparallel/engine/nanny.py\", line 289, in start_nanny
    raise RuntimeError(\"nanny failed\")
RuntimeError: nanny failed";
    let tail: Vec<String> = log.lines().map(str::to_owned).collect();
    let words = LastWords::read(&Exit::Code(255), &tail).expect("words");
    assert_eq!(
        words.to_string(),
        "Error completing registration: nanny failed, after ImportError: cannot import name 'Random' from 'random' (/home/ada/random.py)"
    );
    assert!(words.is_about_packages());
    assert_eq!(
        words.wrong_module(),
        Some(("random", "/home/ada/random.py"))
    );
    let circle = "ImportError: cannot import name 'x' from partially initialized module 'random' (most likely due to a circular import) (/home/ada/random.py)";
    let circle = LastWords::Exception(circle.to_owned());
    assert_eq!(
        circle.wrong_module(),
        Some(("random", "/home/ada/random.py"))
    );
    let missing = LastWords::Exception("ModuleNotFoundError: No module named 'x'".to_owned());
    assert!(missing.is_about_packages());
    assert_eq!(missing.wrong_module(), None);
}

#[test]
fn a_place_that_cannot_be_written_is_told_with_the_variable_that_moves_it() {
    for (path, variable) in [
        ("/home/ada/.jupyter", Some("JUPYTER_CONFIG_DIR")),
        ("/home/ada/.jupyter/migrated", Some("JUPYTER_CONFIG_DIR")),
        (
            "/home/ada/.local/share/jupyter/runtime",
            Some("JUPYTER_DATA_DIR"),
        ),
        ("/home/ada/.ipython/profile_x", Some("IPYTHONDIR")),
        ("/home/ada/.jupyterhub", None),
    ] {
        let words = LastWords::Exception(format!(
            "OSError: [Errno 30] Read-only file system: '{path}'"
        ));
        assert_eq!(words.closed_place(), variable.map(|name| (path, name)));
    }
    let other = "FileNotFoundError: [Errno 2] No such file or directory: '/home/ada/.jupyter'";
    assert_eq!(LastWords::Exception(other.to_owned()).closed_place(), None);
}

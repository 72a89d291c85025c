//! An app for Open OnDemand: the files of sbatch/ood/.

use std::fmt::Write as _;

/// Path and text of each file.
const FILES: &[(&str, &str)] = &[
    (
        "manifest.yml",
        include_str!("../../sbatch/ood/manifest.yml"),
    ),
    ("form.yml", include_str!("../../sbatch/ood/form.yml")),
    (
        "submit.yml.erb",
        include_str!("../../sbatch/ood/submit.yml.erb"),
    ),
    (
        "view.html.erb",
        include_str!("../../sbatch/ood/view.html.erb"),
    ),
    (
        "template/before.sh",
        include_str!("../../sbatch/ood/template/before.sh"),
    ),
    (
        "template/script.sh",
        include_str!("../../sbatch/ood/template/script.sh"),
    ),
    (
        "template/after.sh",
        include_str!("../../sbatch/ood/template/after.sh"),
    ),
];

/// A shell script that writes the files below the directory of its first argument, and over none that is there.
#[must_use]
pub fn script() -> String {
    let mut script = "\
# Writes an app for Open OnDemand into a directory: ipjob template ood | sh -s DIRECTORY
set -eCu
mkdir -p \"$1/template\"
cd \"$1\"
"
    .to_owned();
    for (path, text) in FILES {
        let _ = write!(
            script,
            "\ncat >{path} <<'END OF THE FILE'\n{text}END OF THE FILE\n"
        );
    }
    script + "\nchmod +x template/script.sh\n"
}

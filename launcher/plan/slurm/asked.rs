//! What a job asked for and was given, as `scontrol --oneliner --details show job` tells it. Its environment can have what another job asked for: a batch
//! script inherits the variables of the shell that sbatch was typed in, which may be one inside a job, and Slurm overwrites only what
//! the new job has asked for as well.

use super::Slurm;
use crate::failure::{Failure, Outcome};
use crate::plan::hostlist;
use crate::plan::job::JobId;

/// What a job asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The tasks: one for each node where it did not say.
    pub tasks: Option<u32>,
    /// CPUs of each task: 1 where it did not say.
    pub cpus_per_task: Option<u32>,
    /// Tasks of each node; `None` where it did not say.
    pub tasks_per_node: Option<u32>,
    /// GPUs of each task in srun's notation, `a100:2`; `None` where it did not say.
    pub gpus_per_task: Option<String>,
    /// Whether it asked for GPUs, in whatever way.
    pub has_gpus: bool,
    /// The nodes that it was given, each with its CPUs; empty where it does not run.
    pub given: Vec<(String, u32)>,
    /// The names of all fields that say something.
    fields: Vec<String>,
}

impl Asked {
    /// Reads the line of this job; a heterogeneous job has one for each component.
    #[must_use]
    pub fn read(job: &JobId, text: &str) -> Option<Self> {
        let own = ("JobId", job.number());
        let line = text.lines().find(|line| fields(line).next() == Some(own))?;
        // Before the user stands the job's name, which may hold anything: `x NumTasks=99`.
        let line = line.rfind(" UserId=").map_or(line, |at| &line[at..]);
        let all = |name: &'static str| {
            fields(line)
                .filter(move |(field, _)| *field == name)
                .map(|(_, value)| value)
        };
        // Paths and comments, which may hold anything as well, follow on the counts and stand before what is asked for each task.
        let get = |name| all(name).next();
        let number = |name| get(name)?.parse().ok().filter(|number| *number > 0);
        Some(Self {
            tasks: number("NumTasks"),
            cpus_per_task: number("CPUs/Task"),
            tasks_per_node: get("NtasksPerN:B:S:C")
                .and_then(|counts| counts.split(':').next()?.parse().ok())
                .filter(|number| *number > 0),
            gpus_per_task: all("TresPerTask").last().and_then(gpus),
            has_gpus: ["TresPerJob", "TresPerNode", "TresPerSocket", "TresPerTask"]
                .iter()
                .any(|name| all(name).any(names_gpus)),
            given: given(line),
            fields: fields(line)
                .filter(|(_, value)| !matches!(*value, "" | "(null)" | "N/A" | "0"))
                .map(|(name, _)| name.to_owned())
                .collect(),
        })
    }

    /// Whether a field says something: `TresBind`.
    #[must_use]
    pub fn says(&self, field: &str) -> bool {
        self.fields.iter().any(|name| name == field)
    }
}

/// The variables that a job has, from what scontrol tells of it: the one of this number, of a heterogeneous job the first component, of an
/// array the only element that runs. The last element has the array's own number.
pub fn variables(job: &str, text: &str) -> Outcome<Vec<(String, String)>> {
    let is_it = |line: &&str| fields(line).next() == Some(("JobId", job));
    let is_array = |line: &&str| own_field(line, "ArrayJobId").as_deref() == Some(job);
    let lines: Vec<&str> = match text.lines().find(is_it).filter(|line| !is_array(line)) {
        Some(line) => vec![line],
        None => text.lines().collect(),
    };
    let run = lines
        .into_iter()
        .filter_map(|line| Some((line, variables_of(line)?)));
    let mut run: Vec<_> = run.collect();
    match run.len() {
        0 => Err(Failure::no_job(format!(
            "scontrol shows no nodes of job {job}: it does not run here"
        ))
        .hint("`squeue --me` shows the jobs that run; `ipjob status` those of ipjob")),
        1 => Ok(run.remove(0).1),
        number => {
            let names = run.iter().filter_map(|(line, _)| element(line));
            let names: Vec<String> = names.take(NAMED).collect();
            Err(Failure::usage(format!(
                "job {job} is an array of which {number} elements run"
            ))
            .hint(format!("name one: --jobid {}", names.join(", --jobid ")))
            .hint("`squeue --me --array` shows which of them run"))
        }
    }
}

/// So many elements of an array are named in an error.
const NAMED: usize = 3;

/// What people call the element of an array that this line is of: `6_2`.
fn element(line: &str) -> Option<String> {
    let own = |field: &str| own_field(line, field);
    Some(format!("{}_{}", own("ArrayJobId")?, own("ArrayTaskId")?))
}

/// What stands in this field before the job's name, which may hold anything.
fn own_field(line: &str, field: &str) -> Option<String> {
    let name = line.find(" JobName=").unwrap_or(line.len());
    let found = fields(&line[..name]).find(|(name, _)| *name == field);
    found.map(|(_, value)| value.to_owned())
}

/// The variables that the job of this line has; `None` where it does not run.
fn variables_of(line: &str) -> Option<Vec<(String, String)>> {
    let own = |field: &str| own_field(line, field);
    let number = own("JobId")?;
    let asked = Asked::read(&JobId::shown(&number, &number)?, line)?;
    let nodes: Vec<&str> = asked.given.iter().map(|(node, _)| node.as_str()).collect();
    if nodes.is_empty() {
        return None;
    }
    let restarts = line.rsplit_once(" Restarts=");
    let restarts = restarts.and_then(|(_, rest)| rest.split_ascii_whitespace().next());
    let of_tasks = asked.tasks.map(|tasks| tasks.to_string());
    let all = [
        ("SLURM_JOB_ID", Some(number)),
        ("SLURM_JOB_NODELIST", Some(nodes.join(","))),
        ("SLURM_NTASKS", of_tasks),
        ("SLURM_ARRAY_JOB_ID", own("ArrayJobId")),
        ("SLURM_ARRAY_TASK_ID", own("ArrayTaskId")),
        ("SLURM_RESTART_COUNT", restarts.map(str::to_owned)),
    ];
    let said = all
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Some(said.collect())
}

impl Slurm {
    /// The job with what it has asked for itself. `environment` is what the job was read from.
    pub fn with_asked(mut self, asked: Asked, environment: &[(String, String)]) -> Self {
        let get = |name: &str| {
            let found = environment.iter().find(|(variable, _)| variable == name);
            found.map(|(_, value)| value.as_str())
        };
        if self.alone_in_step {
            // `srun -n1 ipjob`: the engines are a step of the whole job, not of our own step.
            self.tasks = asked.tasks.or(self.tasks);
        } else if self.step.is_none() && asked.tasks != self.tasks && get("SLURM_NTASKS").is_some()
        {
            // sbatch of 24.11 takes another job's SLURM_NTASKS_PER_NODE for what this one asked, and sets both of these by it.
            let is_inherited =
                asked.tasks_per_node.is_none() && get("SLURM_NTASKS_PER_NODE").is_some();
            let own = super::tasks(None, get("SLURM_TASKS_PER_NODE"));
            let own = own.ok().flatten().filter(|_| !is_inherited);
            self.tasks = own.or(asked.tasks).or(self.tasks);
        }
        // Where they differ, the variable is another job's, or Slurm has raised the number itself (CPUs with MaxMemPerCPU). A one that
        // differs says no more than that the job did not say: Slurm shows it so. A step that was made from outside the job has none.
        let own = |told: Option<u32>, asked: Option<u32>| {
            asked.filter(|asked| told == Some(*asked) || *asked > 1)
        };
        self.cpus_per_task = own(self.cpus_per_task, asked.cpus_per_task);
        self.tasks_per_node = own(self.tasks_per_node, asked.tasks_per_node);
        self.gpus_per_task.clone_from(&asked.gpus_per_task);
        self.has_gpus = asked.has_gpus;
        if !asked.given.is_empty() {
            // A step that was made from outside the job is told of its own nodes only.
            (self.nodes, self.cpus) = asked.given.iter().cloned().unzip();
        }
        self.asked = Some(asked);
        self
    }
}

/// `JobId=7`, `NumTasks=1` ...: a value may have further `=`.
fn fields(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split_ascii_whitespace()
        .filter_map(|word| word.split_once('='))
}

/// The nodes of `Nodes=n[1-2] CPU_IDs=0-3 Mem=0 GRES= Nodes=n3 CPU_IDs=0-1,4 ...`, each with its CPUs. The job's own words may stand
/// around these fields, but `Nodes` is followed by `CPU_IDs` in none of them that is not made to mislead its owner.
fn given(line: &str) -> Vec<(String, u32)> {
    let words: Vec<(&str, &str)> = fields(line).collect();
    let groups = words.windows(2).filter_map(|pair| match pair {
        [("Nodes", nodes), ("CPU_IDs", cpus)] => {
            let cpus = hostlist::expand(&format!("[{cpus}]")).ok()?.len();
            Some((hostlist::expand(nodes).ok()?, u32::try_from(cpus).ok()?))
        }
        _ => None,
    });
    groups
        .flat_map(|(nodes, cpus)| nodes.into_iter().map(move |node| (node, cpus)))
        .collect()
}

/// Whether a list of what Slurm counts, as of `gpus`, has GPUs or parts of them.
fn names_gpus(list: &str) -> bool {
    list.split(',').any(|one| {
        let name = one
            .strip_prefix("gres:")
            .or_else(|| one.strip_prefix("gres/"));
        let name = name.and_then(|rest| rest.split([':', '=']).next());
        matches!(name, Some("gpu" | "mps" | "shard"))
    })
}

/// The GPUs of `gres:gpu:a100:2` (22.05) or `cpu=2,gres/gpu:a100=2` (newer): `a100:2`.
pub fn gpus(list: &str) -> Option<String> {
    list.split(',').find_map(|one| {
        let rest = one
            .strip_prefix("gres:gpu")
            .or_else(|| one.strip_prefix("gres/gpu"))?;
        let words: Vec<&str> = rest
            .split([':', '='])
            .filter(|word| !word.is_empty())
            .collect();
        let plain = |word: &&str| {
            word.chars()
                .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        };
        let well = rest.starts_with([':', '=']) && words.len() <= 2 && words.iter().all(plain);
        (well && !words.is_empty()).then(|| words.join(":"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Slurm 22.05 prints it, shortened.
    const LINE: &str = "JobId=12 JobName=a=b UserId=alice(20001) NumNodes=2 NumCPUs=2 NumTasks=2 CPUs/Task=1 ReqB:S:C:T=0:0:*:1 \
        TRES=cpu=2,node=2 NtasksPerN:B:S:C=0:0:*:* Network=(null) TresBind=gpu:closest TresPerNode=gres:gpu:1";

    fn job(number: &str) -> JobId {
        JobId::shown(number, number).expect("a job")
    }

    #[test]
    fn what_a_job_asked_for_is_read() {
        let asked = Asked::read(&job("12"), LINE).expect("a line");
        assert_eq!((asked.tasks, asked.tasks_per_node), (Some(2), None));
        assert_eq!(
            (asked.cpus_per_task, asked.gpus_per_task.as_deref()),
            (Some(1), None)
        );
        assert!(asked.says("TresBind") && !asked.says("Network") && !asked.says("TresFreq"));
        let name =
            "JobName=x UserId=y NumTasks=99 CPUs/Task=9 TresBind=gpu:1 TresPerTask=gres:gpu:9";
        let behind =
            "Command=/x NumTasks=98 Comment=y TresPerTask=gres:gpu:8 TresPerTask=gres:gpu:3";
        let named = LINE
            .replace("JobName=a=b", name)
            .replace(" TresBind=gpu:closest", "");
        for (line, gpus) in [
            (named.clone(), None),
            (format!("{named} {behind}"), Some("3")),
        ] {
            let asked = Asked::read(&job("12"), &line).expect("a line");
            assert_eq!((asked.tasks, asked.cpus_per_task), (Some(2), Some(1)));
            assert_eq!(asked.gpus_per_task.as_deref(), gpus);
            assert!(!asked.says("TresBind"));
        }
        let het = format!("JobId=11 NumTasks=9\n{LINE} TresPerTask=cpu=2,gres/gpu=1");
        let asked = Asked::read(&job("12"), &het).expect("a line");
        assert_eq!(
            (asked.tasks, asked.gpus_per_task.as_deref()),
            (Some(2), Some("1"))
        );
        assert_eq!(Asked::read(&job("7"), LINE), None);
        for (list, found) in [
            ("gres:gpu:2", Some("2")),
            ("gres:gpu:a100:2", Some("a100:2")),
            ("gres/gpu:a100=2", Some("a100:2")),
            ("gres/gpu_mem:1", None),
            ("cpu=4", None),
            ("gres:gpu:$(id)", None),
        ] {
            assert_eq!(gpus(list).as_deref(), found, "{list}");
        }
    }

    #[test]
    fn what_a_job_was_given_is_read_for_each_node() {
        let given = |text: &str| {
            let line = format!("{LINE} {text} MinCPUsNode=2 Command=/x Nodes=n9 y");
            Asked::read(&job("12"), &line).expect("a line").given
        };
        let own = |nodes: &[(&str, u32)]| -> Vec<(String, u32)> {
            let own = |(name, cpus): &(&str, u32)| ((*name).to_owned(), *cpus);
            nodes.iter().map(own).collect()
        };
        assert_eq!(
            given(
                "JOB_GRES=(null)   Nodes=n[1-2] CPU_IDs=0-3 Mem=0 GRES=   Nodes=n4 CPU_IDs=0-1,6 Mem=0 GRES="
            ),
            own(&[("n1", 4), ("n2", 4), ("n4", 3)])
        );
        assert_eq!(given(""), own(&[]));
        assert_eq!(given("Nodes=n[1 CPU_IDs=0 Nodes=n1 CPU_IDs=x-"), own(&[]));
        // A step that was made from outside the job is told of its own node, and of no CPUs.
        let step = [
            ("SLURM_JOB_ID", "12"),
            ("SLURM_JOB_NODELIST", "n2"),
            ("SLURM_STEP_ID", "1"),
            ("SLURM_STEP_NUM_TASKS", "1"),
            ("SLURM_NTASKS", "1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let line = LINE.replace("CPUs/Task=1", "CPUs/Task=4") + " Nodes=n[1-2] CPU_IDs=0-3 Mem=0";
        let line = line.replace(" TresPerNode=gres:gpu:1", "");
        let slurm = Slurm::read(&step).expect("readable").expect("a job");
        let slurm = slurm.with_asked(Asked::read(&job("12"), &line).expect("a line"), &step);
        assert_eq!((slurm.nodes.len(), slurm.tasks), (2, Some(2)));
        assert_eq!(slurm.engines(), Some(8));
    }

    #[test]
    fn a_job_is_read_from_outside() {
        let line = "JobId=7 ArrayJobId=6 ArrayTaskId=1 JobName=x JobId=9 UserId=alice(20001) Requeue=1 Restarts=2 NodeList=n[1-2] NumTasks=2 \
            CPUs/Task=4 NtasksPerN:B:S:C=1:0:*:* Nodes=n[1-2] CPU_IDs=0-3 Mem=0";
        for job in ["7", "6_1"] {
            let told = variables(job, line).expect("it runs");
            let slurm = Slurm::read(&told).expect("readable").expect("a job");
            let asked = Asked::read(&slurm.job, line).expect("a line");
            let slurm = slurm.with_asked(asked, &told);
            assert_eq!((slurm.job.number(), slurm.restart), ("7", 2));
            assert_eq!((slurm.engines(), slurm.nodes.len()), (Some(8), 2));
        }
        let waits = "JobId=7 JobName=x UserId=alice(20001) NumTasks=2 CPUs/Task=4";
        for none in [waits, ""] {
            let failure = variables("7", none).expect_err("it does not run");
            assert!(failure.message.contains("no nodes of job 7"), "{failure}");
        }
    }

    #[test]
    fn no_element_of_an_array_is_taken_for_another() {
        let line = |number: &str, index: &str, given: &str| {
            format!(
                "JobId={number} ArrayJobId=6 ArrayTaskId={index} JobName=x UserId=alice(20001) NumTasks=1 CPUs/Task=1 {given}\n"
            )
        };
        let runs = "Nodes=n1 CPU_IDs=0 Mem=0";
        let of = |text: &str| {
            let told = variables("6", text)?;
            let number = told.into_iter().find(|(name, _)| name == "SLURM_JOB_ID");
            Ok::<_, Failure>(number.map(|(_, number)| number))
        };
        // The elements that wait have the array's number.
        let waits = line("6", "1-3", "");
        let one = line("7", "0", runs);
        assert_eq!(of(&format!("{waits}{one}")), Ok(Some("7".to_owned())));
        let two = format!("{}{one}", line("6", "1", runs));
        let failure = of(&two).expect_err("two run");
        let words = failure.hints.join(" ");
        assert!(words.contains("--jobid 6_1, --jobid 6_0"), "{failure}");
        let components = [("11", runs), ("12", runs)].map(|(number, given)| {
            format!("JobId={number} HetJobId=6 HetJobOffset=0 JobName=x UserId=alice(20001) NumTasks=1 {given}\n")
        });
        let het = components.concat().replace("JobId=11", "JobId=6");
        assert_eq!(of(&het), Ok(Some("6".to_owned())));
    }

    #[test]
    fn a_task_with_gpus_stays_one_engine() {
        let told = [
            ("SLURM_JOB_ID", "12"),
            ("SLURM_JOB_NODELIST", "n1"),
            ("SLURM_NTASKS", "1"),
            ("SLURM_CPUS_PER_TASK", "8"),
            ("SLURM_JOB_CPUS_PER_NODE", "8"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let engines = |environment: &[(String, String)], line: Option<&str>| {
            let slurm = Slurm::read(environment).expect("readable").expect("a job");
            let line = line.map(|field| {
                format!("JobId=12 JobName=x UserId=alice(20001) NumTasks=1 CPUs/Task=8 {field} Nodes=n1 CPU_IDs=0-7 Mem=0")
            });
            let asked = line.map(|line| Asked::read(&slurm.job, &line).expect("a line"));
            let slurm = match asked {
                Some(asked) => slurm.with_asked(asked, environment),
                None => slurm,
            };
            slurm.engines()
        };
        for (field, number) in [
            ("", 8),
            ("TresPerNode=gres:gpu:1", 1),
            ("TresPerNode=gres/gpu", 1),
            ("TresPerJob=gres/gpu:a100:1", 1),
            ("TresPerTask=cpu=8,gres/gpu=1", 1),
            ("TresPerNode=gres/shard:2", 1),
            ("TresPerNode=gres/gpu_mem:1,gres/nvme:1", 8),
        ] {
            assert_eq!(engines(&told, Some(field)), Some(number), "{field}");
        }
        // Where scontrol does not answer, the variables tell; else they may be another job's.
        let mut with_gpu = told.to_vec();
        with_gpu.push(("SLURM_GPUS_ON_NODE".to_owned(), "1".to_owned()));
        assert_eq!(engines(&told, None), Some(8));
        assert_eq!(engines(&with_gpu, None), Some(1));
        assert_eq!(engines(&with_gpu, Some("")), Some(8));
    }

    #[test]
    fn what_another_job_asked_for_is_not_believed() {
        let variables = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let own = [
                ("SLURM_JOB_ID", "12"),
                ("SLURM_JOB_NODELIST", "n[1-2]"),
                ("SLURM_TASKS_PER_NODE", "1(x2)"),
            ];
            own.iter()
                .chain(pairs)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let read_of = |line: &str, pairs: &[(&str, &str)]| {
            let variables = variables(pairs);
            let slurm = Slurm::read(&variables).expect("readable").expect("a job");
            let asked = Asked::read(&slurm.job, line).expect("a line");
            let slurm = slurm.with_asked(asked, &variables);
            (
                slurm.tasks,
                slurm.cpus_per_task,
                slurm.tasks_per_node,
                slurm.gpus_per_task,
            )
        };
        let read = |pairs: &[(&str, &str)]| read_of(LINE, pairs);
        let inherited = [
            ("SLURM_NTASKS", "8"),
            ("SLURM_CPUS_PER_TASK", "4"),
            ("SLURM_NTASKS_PER_NODE", "4"),
            ("SLURM_GPUS_PER_TASK", "1"),
        ];
        assert_eq!(read(&inherited), (Some(2), None, None, None));
        assert_eq!(
            read(&[("SLURM_NTASKS", "2"), ("SLURM_CPUS_PER_TASK", "1")]),
            (Some(2), Some(1), None, None)
        );
        // sbatch of 24.11 has taken the number of each node for its own.
        let one = "JobId=12 JobName=x UserId=alice(20001) NumNodes=1 NumTasks=1 CPUs/Task=1 NtasksPerN:B:S:C=0:0:*:*";
        let by_node = [("SLURM_NTASKS", "2"), ("SLURM_NTASKS_PER_NODE", "2")];
        assert_eq!(read_of(one, &by_node).0, Some(1));
        // Slurm has raised it (MaxMemPerCPU), after it made the variable of what the job said.
        let raised = LINE.replace("CPUs/Task=1", "CPUs/Task=4");
        assert_eq!(read_of(&raised, &[("SLURM_CPUS_PER_TASK", "2")]).1, Some(4));
        // In a step of one task the job's tasks count.
        let step = [
            ("SLURM_STEP_ID", "0"),
            ("SLURM_STEP_NUM_TASKS", "1"),
            ("SLURM_NTASKS", "1"),
        ];
        assert_eq!(read(&step).0, Some(2));
    }
}

"""Forks the engines of this machine: `python fork.py ORDER IPENGINE ARGS...`.

ORDER is a JSON file, [{"id": 3, "log": "/path", "set": {"X": "1"}, "dropped": ["Y"], "cpus": [0, 1]}, ...]; each engine gets ARGS, its id,
its variables and CPUs. What became of it is told on descriptor 0,
which is the writing end of a pipe, so that nothing that a site-wide module prints is mixed into it:

    engine 3 pid 117        it was forked
    ipjob-engine cannot ... a module cannot be preloaded
    exec 2 threads run ...  nothing was forked, because of that: the engines are to be started one by one

Then this program ends, and the engines are the children of the subreaper above it, which learns of the end of each.
"""


def main(order, ipengine, *args):
    find_modules_of(ipengine, os.path.dirname(os.path.realpath(__file__)))
    # Modules look there when they are imported.
    sys.argv = [ipengine, *args]
    why = prepare(lambda line: os.write(0, line))
    if why:
        os.write(0, f"exec {why}\n".encode())
        return
    with open(order) as file:
        engines = json.load(file)
    share()
    nannies = fork_nannies(args)
    for engine in engines:
        pid = os.fork()
        if pid == 0:
            os.environ.update(engine["set"])
            for name in engine["dropped"]:
                os.environ.pop(name, None)
            if engine["cpus"]:
                bind(engine["cpus"])
            log = os.open(engine["log"], os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
            return become(ipengine, engine["id"], [*args, f"--IPEngine.id={engine['id']}"], nannies, os.dup(log), log)
        os.write(0, f"engine {engine['id']} pid {pid}\n".encode())
    # What the site's modules want done at the end of a program is the engines' to do.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""release.py sbom FILE | workflows CHECKOUT | recipes CHECKOUT PREFIX | crates PROGRAM: looks at what a release is made of."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import types
import zlib


def sbom(file):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    if wrong := JsonStrictValidator(SchemaVersion.V1_5).validate_str(pathlib.Path(file).read_text()):
        sys.exit(f"{file}: {wrong}")


def workflows(checkout):
    import yaml

    checkout = pathlib.Path(checkout)
    targets = set(re.findall(r"^([a-z-]+)(?: [^:=]*)?:", (checkout / "Makefile").read_text(), re.M))
    seen = {}
    for file in sorted((checkout / ".github/workflows").glob("*.yml")):
        text = file.read_text()
        # YAML takes "on" for a truth.
        content = yaml.safe_load(text)
        seen[file.name] = content[True]
        made = re.findall(r"\bmake ([a-z-]+)", " ".join(re.findall(r"^(?!\s*#).*$", text, re.M)))
        assert made, f"{file}: it makes nothing"
        assert not set(made) - targets, f"{file}: no target {set(made) - targets}"
        assert "secrets." not in text, f"{file}: a secret"
        for job in content["jobs"].values():
            for step in job["steps"]:
                assert step.get("uses", "actions/checkout@v4") == "actions/checkout@v4", f"{file}: {step}"
                for script in re.findall(r"(?:packaging|tests|\.ci)/[\w/.-]+", step.get("run", "")):
                    assert (checkout / script).exists(), f"{file}: no {script}"
    assert seen["release.yml"] == {"push": {"tags": ["v*"]}}, seen
    assert "push" in seen["ci.yml"] and "pull_request" in seen["ci.yml"], seen


def unpack(archive, checksum, work):
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert found == checksum, f"{archive} has checksum {found}, the recipe {checksum}"
    work.mkdir(parents=True)
    subprocess.run(["tar", "-C", work, "--strip-components=1", "-xzf", archive], check=True)


def shows_version(program):
    print(subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout, end="")


def easybuild(checkout, prefix, archive):
    """As the easyblock "Tarball" does it: unpacked and copied."""
    (file,) = (checkout / "packaging/easybuild").glob("*.eb")
    recipe = {"SYSTEM": {"name": "system", "version": "system"}}
    exec(file.read_text(), recipe)
    assert recipe["easyblock"] == "Tarball" and file.stem == f"{recipe['name']}-{recipe['version']}"
    values = {"name": recipe["name"], "version": recipe["version"], "arch": os.environ["MACHINE"]}
    assert [source % values for source in recipe["sources"]] == [archive.name]
    checksums = {name % values: checksum for name, checksum in recipe["checksums"][0].items()}
    unpack(archive, checksums[archive.name], prefix / "easybuild")
    for kind, names in recipe["sanity_check_paths"].items():
        for name in names:
            assert (prefix / "easybuild" / name).exists(), f"no {name} of {kind}"
    shows_version(prefix / "easybuild/bin/ipjob")


def spack(checkout, prefix, archive):
    versions = {}
    given = types.ModuleType("spack.package")
    given.license = lambda *_: None
    given.version = lambda name, **how: versions.__setitem__(name, how)
    given.run_after = given.on_package_attributes = lambda *_, **__: lambda function: function
    given.install_tree = lambda source, into: subprocess.run(["cp", "-R", source, into], check=True)
    given.Executable = lambda path: lambda *_: shows_version(path)
    generic = types.ModuleType("spack_repo.builtin.build_systems.generic")
    generic.Package = object
    sys.modules |= {"spack.package": given, "spack_repo.builtin.build_systems.generic": generic}
    for name in ("spack", "spack_repo", "spack_repo.builtin", "spack_repo.builtin.build_systems"):
        sys.modules[name] = types.ModuleType(name)
    file = checkout / "packaging/spack/package.py"
    names = {"__file__": str(file), "__name__": "package"}
    exec(compile(file.read_text(), file, "exec"), names)
    ((_, how),) = versions.items()
    assert pathlib.Path(how["url"].removeprefix("file://")).samefile(archive)
    unpack(archive, how["sha256"], prefix / "spack-stage")
    os.chdir(prefix / "spack-stage")
    into = prefix / "spack"
    package = names["Ipjob"]()
    package.install(None, into)
    package.prefix = types.SimpleNamespace(bin=types.SimpleNamespace(ipjob=into / "bin/ipjob"))
    for name in package.sanity_check_is_file:
        assert (into / name).is_file(), f"no {name}"
    package.check_version()


def conda(checkout, prefix, archive):
    import yaml

    recipe = yaml.safe_load((checkout / "packaging/conda/recipe.yaml").read_text())
    for source in recipe["source"]:
        name = source["then"]["path"].replace("${{ version }}", recipe["context"]["version"])
        if name == f"../../dist/{archive.name}":
            break
    else:
        sys.exit(f"no {archive.name} in the recipe")
    unpack(archive, source["then"]["sha256"], prefix / "conda-work")
    into = prefix / "conda"
    into.mkdir()
    for line in recipe["build"]["script"]:
        subprocess.run(["sh", "-ec", line], cwd=prefix / "conda-work", env={**os.environ, "PREFIX": str(into)}, check=True)
    for name in recipe["about"]["license_file"]:
        assert (prefix / "conda-work" / name).is_file(), f"no {name}"
    shows_version(into / "bin/ipjob")


def binstall(checkout, prefix, archive):
    import tomllib

    package = tomllib.loads((checkout / "Cargo.toml").read_text())["package"]
    values = {"version": package["version"], "target-arch": os.environ["MACHINE"], "bin": "ipjob"}
    fill = lambda text: re.sub(r"\{ (\S+) \}", lambda match: values.get(match[1], match[0]), text)
    how = package["metadata"]["binstall"]
    assert fill(how["pkg-url"]).endswith("/" + archive.name), how
    (prefix / "binstall").mkdir()
    subprocess.run(["tar", "-C", prefix / "binstall", "-xzf", archive], check=True)
    shows_version(prefix / "binstall" / fill(how["bin-dir"]))


def recipes(checkout, prefix):
    checkout, prefix = pathlib.Path(checkout), pathlib.Path(prefix)
    (archive,) = (checkout / "dist").glob("*.tar.gz")
    for install in (easybuild, spack, conda, binstall):
        install(checkout, prefix, archive)
        sys.stdout.flush()


def crates(program):
    """The list of crates in a program for Linux (cargo-auditable): compressed JSON in the section .dep-v0."""
    data = pathlib.Path(program).read_bytes()
    at = int.from_bytes(data[0x28:0x30], "little")
    size, count, names = (int.from_bytes(data[n : n + 2], "little") for n in (0x3A, 0x3C, 0x3E))
    headers = [data[at + n * size : at + (n + 1) * size] for n in range(count)]
    place = lambda header: (int.from_bytes(header[0x18:0x20], "little"), int.from_bytes(header[0x20:0x28], "little"))
    strings = place(headers[names])[0]
    for header in headers:
        name = strings + int.from_bytes(header[:4], "little")
        if data[name:].startswith(b".dep-v0\0"):
            start, length = place(header)
            for package in json.loads(zlib.decompress(data[start : start + length]))["packages"]:
                print(package["name"], package["version"])
            return
    sys.exit(f"{program} has no section .dep-v0")


if __name__ == "__main__":
    {"sbom": sbom, "workflows": workflows, "recipes": recipes, "crates": crates}[sys.argv[1]](*sys.argv[2:])

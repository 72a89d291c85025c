"""What numbers were measured on."""
import os
import platform
import re
import subprocess
import time

# Runs by the Python that is measured.
VERSIONS = """
import importlib.metadata, platform, sys
found = ["Python " + platform.python_version()]
for name in sys.argv[1:]:
    try:
        found.append(name + " " + importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        pass
print(", ".join(found))
"""


def described(path, load, *packages):
    """Date, machine, and how busy it was before; Python, and which versions of these packages it has."""
    python = os.path.join(path[0], "python")
    versions = subprocess.run([python, "-c", VERSIONS, *packages], capture_output=True, text=True, check=True).stdout.strip()
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    return (f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} CPUs ({model[1] if model else platform.machine()}), "
            f"Linux {platform.release().split('-')[0]}, load {load:.1f} before; {versions}.")

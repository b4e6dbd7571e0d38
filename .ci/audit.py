"""Known vulnerabilities of what is installed; a line where no database of them can be reached."""

import json
import subprocess
import sys


def main() -> int:
    """Print what was found; 1 where a package has a known vulnerability."""
    audit = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--local", "--format=json", "--progress-spinner=off"],
        capture_output=True,
        text=True,
    )
    packages = json.loads(audit.stdout)["dependencies"] if audit.stdout else []
    known = [package for package in packages if "vulns" in package]  # of others no record was got
    if not known:
        print("vulnerabilities: skipped, no database of them can be reached")
        return 0
    print(f"vulnerabilities: {len(known)} of {len(packages)} packages looked up")
    hit = [package for package in known if package["vulns"]]
    for package in hit:
        ids = ", ".join(found["id"] for found in package["vulns"])
        print(f"  {package['name']} {package['version']}: {ids}")
    return bool(hit)


if __name__ == "__main__":
    sys.exit(main())

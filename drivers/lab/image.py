"""The guest image: a small real Debian with the measuring tools, its kernel, and an initial ram disk of our own.

The one thing to know: two things are cached apart, each under the hash of its recipe. The *tree* is what
mmdebstrap makes of the packages; the *image* is the tree with our init in it, as `root/` (for containers, and for
the arm of an overhead that runs the guest's binaries on the host) and as disk image, kernel and initial ram disk.

    <cache>/trees/<key>/   root/ kernel/ manifest.json
    <cache>/images/<key>/  root/ base.qcow2 vmlinuz initrd.img id_ed25519 id_ed25519.pub known_hosts manifest.json
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drivers import postgres, witness
from drivers.lab import cache
from drivers.lab.bootstrap import LEAN, Recipe, bootstrap, lines, tagged, versions
from drivers.lab.command import call, contained, environment, logged
from drivers.lab.layout import NETWORK, SCRATCH, Layout
from harness.errors import LabError

SUITE = "bookworm"
DATA = Path(__file__).parent / "guest"
DISK = 2 * 2**30
BOX = ("sh", "mount", "insmod", "switch_root", "sleep", "cat", "cut", "poweroff")
PLACES = {      # file in guest/ -> place in the image, mode
    "inittab": ("etc/inittab", 0o644),
    "sshd.conf": ("etc/ssh/sshd_config.d/virtmark.conf", 0o644),
    "virtmark-start": ("sbin/virtmark-start", 0o755),
    "virtmark-agent": ("sbin/virtmark-agent", 0o755),
    "virtmark-ready": ("sbin/virtmark-ready", 0o755),
    "virtmark-serve": ("sbin/virtmark-serve", 0o755),
    "virtmark-stop": ("sbin/virtmark-stop", 0o755),
    "power-button": ("etc/acpi/PWRF/00000080", 0o755),
    "shutdown": ("sbin/shutdown", 0o755),
}
DATABASE = (postgres.PREPARE, postgres.FOLDER)
WITNESS = f"usr/bin/{witness.PROGRAM}"
UNUSED = tuple(f"path-exclude=/usr/lib/{part}" for part in (       # what PostgreSQL compiles queries with: 140 MB
    "*/libLLVM*", "*/libz3*", "llvm-*", "postgresql/*/lib/llvmjit*", "postgresql/*/lib/bitcode/*"))
LINKS = {"sbin/init": "/bin/busybox", "etc/hosts": "/run/hosts"}
Say = Callable[[str], None]


def packages() -> list[str]:
    """Return the names of the packages in the image, without the kernel."""
    return [line for line in lines((DATA / "packages.txt").read_text()) if ":" not in line]


def tree_recipe() -> Recipe:
    """Return how the tree is made."""
    kernel = tagged(lines((DATA / "packages.txt").read_text()), "kernel")[0]
    hooks = (f'sh {DATA}/fetch-kernel "$1" {kernel}', f'sh {DATA}/no-cluster "$1"')
    return Recipe(SUITE, tuple(packages()), hooks=hooks, dpkg=(*LEAN, *UNUSED))


def tree_key() -> str:
    """Return the hash that names the tree: of its packages and of what the hooks say, not of where they lie."""
    files = {name: (DATA / name).read_text() for name in ("packages.txt", "fetch-kernel", "no-cluster")}
    return cache.key({"suite": SUITE, "files": files, "dpkg": tree_recipe().dpkg})


def recipe() -> dict[str, Any]:
    """Return everything the image depends on, JSON-ready; its hash names the image."""
    ours = {name: (DATA / name).read_text() for name in (*PLACES, "initramfs-init", "modules.txt")}
    return {"tree": tree_key(), "files": ours, "places": PLACES, "links": LINKS, "disk": DISK,
            "box": BOX, "witness": witness.version(), "database": DATABASE}


def folder(layout: Layout) -> Path:
    """Return where the image is, or will be once built."""
    return layout.cache / "images" / cache.key(recipe())


def build(layout: Layout, say: Say) -> Path:
    """Return the folder of the guest image, building tree and image where they are not cached; LabError on failure."""
    place = folder(layout)
    if cache.whole(place):
        say(f"guest image {place.name}: cached")
        return place
    tree = layout.cache / "trees" / tree_key()
    if not cache.whole(tree):
        say(f"guest packages: fetching and unpacking {len(packages())} and what they need (about a minute)")
        cache.build(tree, lambda fresh: _make_tree(fresh, layout), room=3 * 10**9)
    say("guest image: making the disk (about 20 s)")
    return cache.build(place, lambda fresh: _make_image(fresh, tree, layout), room=4 * 10**9)


def _make_tree(fresh: Path, layout: Layout) -> dict[str, Any]:
    made = tree_recipe()
    bootstrap(made, fresh / "root", layout.cache / "logs" / "guest-packages.log")
    return {"recipe": vars(made), "packages": versions(fresh / "root"), "kernel": _kernel(fresh)}


def _kernel(tree: Path) -> str:
    found = [path.name for path in (tree / "kernel" / "lib" / "modules").iterdir()]
    if len(found) != 1:
        raise LabError(f"guest image: one kernel expected, found {', '.join(found) or 'none'}")
    return found[0]


def _make_image(fresh: Path, tree: Path, layout: Layout) -> dict[str, Any]:
    kernel, root = _kernel(tree), fresh / "root"
    call(["cp", "-a", "--reflink=auto", str(tree / "root"), str(root)], timeout=600)
    shutil.copy(tree / "kernel" / "boot" / f"vmlinuz-{kernel}", fresh / "vmlinuz")
    listed = lines((DATA / "modules.txt").read_text())
    call(["depmod", "-b", str(tree / "kernel"), kernel])
    _copy_modules(tree / "kernel", kernel, root, [w for tag in ("early", "boot", "extra") for w in tagged(listed, tag)])
    _ram_disk(fresh, tree, kernel, tagged(listed, "early"))
    _furnish(root, tagged(listed, "boot"))
    _keys(fresh, root)
    _disk(fresh, root, layout.cache / "logs" / "guest-image.log")
    files = ("base.qcow2", "vmlinuz", "initrd.img")
    return {"recipe": recipe(), "kernel": kernel, "suite": SUITE, "packages": cache.manifest(tree)["packages"],
            "sha256": {name: cache.sha256(fresh / name) for name in files}}


def _module_files(base: Path, kernel: str, names: list[str]) -> list[Path]:
    """Return the files of the modules and of all they need, in the order of loading; unknown names are an error."""
    found: dict[Path, None] = {}
    for name in names:
        for line in call(["modprobe", "-d", str(base), "-S", kernel, "--show-depends", name]).splitlines():
            verb, _, rest = line.partition(" ")
            if verb == "insmod":
                found[Path(rest.split()[0])] = None
    return list(found)


def _copy_modules(base: Path, kernel: str, root: Path, names: list[str]) -> None:
    for file in _module_files(base, kernel, names):
        place = root / "usr" / file.relative_to(base)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    for name in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(base / "lib" / "modules" / kernel / name, root / "usr" / "lib" / "modules" / kernel / name)
    call(["depmod", "-b", str(root), kernel])


def _ram_disk(fresh: Path, tree: Path, kernel: str, early: list[str]) -> None:
    base = fresh / "initramfs"
    for name in ("bin", "dev", "proc", "sys", "root", "modules"):
        (base / name).mkdir(parents=True)
    shutil.copy(tree / "root" / "bin" / "busybox", base / "bin" / "busybox")
    for name in BOX:
        (base / "bin" / name).symlink_to("busybox")
    files = _module_files(tree / "kernel", kernel, early)
    for file in files:
        shutil.copy(file, base / "modules" / file.name)
    (base / "modules" / "order").write_text("".join(f"{file.name}\n" for file in files))
    _place(DATA / "initramfs-init", base / "init", 0o755)
    listing = "".join(f"{path.relative_to(base)}\n" for path in sorted(base.rglob("*")))
    with (fresh / "initrd.img").open("wb") as out:
        packed = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=base, input=listing.encode(),
                                stdout=subprocess.PIPE, check=True, env=environment()).stdout
        subprocess.run(contained(["zstd", "-q", "-15", "-c"]), input=packed, stdout=out, check=True, env=environment())
    shutil.rmtree(base)


def _furnish(root: Path, boot_modules: list[str]) -> None:
    """Put our own files into the root file system."""
    for name, (place, mode) in PLACES.items():
        _place(DATA / name, root / place, mode)
    witness.compiled(root / WITNESS)
    call(["chroot", str(root), "sh", "-c", DATABASE[0], "sh", DATABASE[1]])
    for name, aim in LINKS.items():
        (root / name).unlink(missing_ok=True)
        (root / name).symlink_to(aim)
    (root / "etc" / "virtmark").mkdir()
    (root / "etc" / "virtmark" / "modules").write_text("".join(f"{name}\n" for name in boot_modules))
    (root / "etc" / "resolv.conf").write_text("")
    (root / "etc" / "fstab").write_text("/dev/vda / ext4 rw,noatime 0 0\n")
    (root / SCRATCH.lstrip("/")).mkdir()


def _place(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def _keys(fresh: Path, root: Path) -> None:
    """Make the lab's own login key and the guests' host key; both never leave the cache."""
    call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "virtmark", "-f", str(fresh / "id_ed25519")])
    for old in (root / "etc" / "ssh").glob("ssh_host_*"):
        old.unlink()
    host = root / "etc" / "ssh" / "ssh_host_ed25519_key"
    call(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "virtmark-guest", "-f", str(host)])
    (root / "root" / ".ssh").mkdir(mode=0o700, exist_ok=True)
    shutil.copy(fresh / "id_ed25519.pub", root / "root" / ".ssh" / "authorized_keys")
    public = host.with_suffix(".pub").read_text()
    (fresh / "known_hosts").write_text(f"{str(NETWORK[0]).rsplit('.', 1)[0]}.* {public}")


def _disk(fresh: Path, root: Path, log: Path) -> None:
    log.unlink(missing_ok=True)
    raw = fresh / "base.raw"
    with raw.open("wb") as file:
        file.truncate(DISK)
    logged(["mke2fs", "-q", "-t", "ext4", "-O", "^orphan_file,^metadata_csum_seed", "-L", "virtmark", "-E",
            "lazy_itable_init=0,lazy_journal_init=0,nodiscard", "-d", str(root), str(raw)], log, timeout=600)
    logged(["qemu-img", "convert", "-O", "qcow2", str(raw), str(fresh / "base.qcow2")], log, timeout=600)
    raw.unlink()

"""Keep a pose worker off the network and within its memory, without privileges.

MediaPipe reports usage over the network. On Linux the kernel is asked to refuse internet sockets
to this process from now on (seccomp, which nothing in the process can undo); elsewhere proxy
variables that lead nowhere are all that can be done, and the host must deny egress.
"""

import ctypes
import errno
import logging
import os
import platform
import struct
import sys

logger = logging.getLogger(__name__)

_NOWHERE = "http://127.0.0.1:9"  # the discard port
_PROXY_NAMES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

# machine: (the kernel's name for it in audit.h, number of `socket`)
_SYSCALLS = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_IO_URING_SETUP = 425  # on every machine; a ring can open sockets past `socket`
_AF_INET, _AF_INET6 = 2, 10

# linux/filter.h and linux/seccomp.h
_LOAD_WORD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _FAIL_WITH = 0x7FFF0000, 0x00050000
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # in struct seccomp_data
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def deny_network() -> bool:
    """Refuse internet sockets to this process and its children, for good.

    Returns:
        True where the kernel enforces it, False where only proxy variables stand in the way.
    """
    for name in _PROXY_NAMES:
        os.environ[name] = _NOWHERE
    if not sys.platform.startswith("linux") or platform.machine() not in _SYSCALLS:
        return False
    machine, socket_number = _SYSCALLS[platform.machine()]
    return _install(_filter(machine, socket_number))


def limit_memory(num_bytes: int) -> bool:
    """Make allocations beyond ``num_bytes`` fail in this process, where the system can.

    Returns:
        Whether a limit was set.
    """
    if not sys.platform.startswith("linux"):
        return False
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    ceiling = num_bytes if hard == resource.RLIM_INFINITY else min(num_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (ceiling, hard))
    return True


def _filter(machine: int, socket_number: int) -> bytes:
    """The filter's instructions: operation, steps if equal, steps if not, value."""
    steps = (
        (_LOAD_WORD, 0, 0, _MACHINE_AT),
        (_JUMP_IF_EQUAL, 0, 6, machine),  # another calling convention: allow
        (_LOAD_WORD, 0, 0, _NUMBER_AT),
        (_JUMP_IF_EQUAL, 5, 0, _IO_URING_SETUP),
        (_JUMP_IF_EQUAL, 0, 3, socket_number),
        (_LOAD_WORD, 0, 0, _FIRST_ARGUMENT_AT),
        (_JUMP_IF_EQUAL, 2, 0, _AF_INET),
        (_JUMP_IF_EQUAL, 1, 0, _AF_INET6),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _FAIL_WITH | errno.EACCES),
    )
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _install(instructions: bytes) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    program = _Program(len(instructions) // 8, instructions)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        logger.warning(
            "pose worker may reach the network; deny egress outside",
            extra={"cause": os.strerror(ctypes.get_errno())},
        )
        return False
    return True

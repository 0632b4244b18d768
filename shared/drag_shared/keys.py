r"""Every Redis key of DRAG: its name, type, owner and time to live.

A **partition** is one hash slot: all keys about a job share the tag ``{gN}``, so that one script can touch them all,
on a single Redis as on a Redis Cluster. What is not about jobs lives under ``{control}``.

=============================  ======  ==============================================  ================================
key (after ``drag:{gN}:``)     type    what it holds; who writes it                    time to live
=============================  ======  ==============================================  ================================
``ledger``                     hash    counters of transitions, bytes held             for ever
``open``                       zset    ids of unfinished jobs, by creation (ms)        until the job ends
``jobs``                       zset    ids of all known jobs, ordered by name          until the record goes
``ended``                      zset    ``<id>:<record bytes>`` by end (ms)             until the record goes
``pictures``                   zset    ``<id>:<picture bytes>`` of ended jobs          until the picture goes
``delayed``                    zset    retries that wait, packed, by due time (ms)     until due
``dead``                       stream  dead letters                                    byte budget, oldest first
``streams``                    set     names of the work streams below                 for ever
``uploads``                    stream  accepted jobs, for the group ``ingest``         until acknowledged
``frames:<model>``             stream  work of one model, for the group ``inference``  until acknowledged
``job:<id>``                   hash    the record: status, facts, parts, result        from the end: ``result_ttl_s`` *
``blob:<id>``                  string  the picture's bytes, as uploaded                from the end: ``result_ttl_s`` *
``idempotency:<key>``          string  packed digest and job ids                       from the end: its own setting
``announce``                   channel  ids of jobs that ended, with blanks between    -
=============================  ======  ==============================================  ================================

\* or until the byte budget drops it; the script ``tend`` takes away what is past either.

=============================  ======  ==============================================  ================================
key (after ``drag:{control}:``)  type  what it holds; who writes it                    time to live
=============================  ======  ==============================================  ================================
``workers``                    hash    name -> packed ``WorkerInfo``; each process     removed when not seen for 60 s
``partitions``                 string  the number of partitions; only grows            for ever
=============================  ======  ==============================================  ================================
"""

from dataclasses import dataclass

UPLOADS = "uploads"
INGEST_GROUP = "ingest"
INFERENCE_GROUP = "inference"

WORKERS = "drag:{control}:workers"
PARTITIONS = "drag:{control}:partitions"


def frames_stream(model: str) -> str:
    """Short name of the stream with a model's work (``frames:<model>``), the same in every partition."""
    return f"frames:{model}"


@dataclass(frozen=True, slots=True)
class PartitionKeys:
    """The key names of one partition."""

    partition: int

    @property
    def prefix(self) -> str:
        """What all its keys begin with; the braces make it one hash slot.

        The letter matters: ``{g0}`` to ``{g2}`` fall on three masters of three, of four with ``{g3}``; most letters
        put two of them on one.
        """
        return f"drag:{{g{self.partition}}}:"

    def key(self, name: str) -> str:
        """Full name of a key from its short one, e.g. ``open`` or ``frames:gauge-detector``."""
        return self.prefix + name

    def job(self, job_id: str) -> str:
        """Key of a job's record."""
        return self.key(f"job:{job_id}")

    def blob(self, job_id: str) -> str:
        """Key of a job's picture."""
        return self.key(f"blob:{job_id}")

    def for_scripts(self) -> list[str]:
        """KEYS of every script, in the order in which ``scripts/lib.lua`` names them.

        Names that end in a colon are prefixes, completed inside the script; the tag keeps them in this slot.
        """
        return [self.key(name) for name in SCRIPT_KEYS]


SCRIPT_KEYS = (
    "ledger",
    "open",
    "jobs",
    "ended",
    "pictures",
    "delayed",
    "dead",
    "streams",
    "announce",
    "job:",
    "blob:",
    "idempotency:",
    "",
)

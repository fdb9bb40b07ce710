"""The kinds of faults; each leaves a sweep that the same command must be able to finish."""

from collections.abc import Callable

from tests.faults import around, damaged, misplaced, stopped
from tests.faults.trial import Trial

Kind = Callable[[Trial], None]
KINDS: dict[str, tuple[Kind, int]] = {  # with its share of two hundred trials
    "kill_parent": (stopped.kill_parent, 10),
    "kill_parent_fresh": (stopped.kill_parent_fresh, 2),
    "kill_parent_basic": (stopped.kill_parent_basic, 4),
    "kill_parent_joblib": (stopped.kill_parent_joblib, 2),
    "kill_child": (stopped.kill_child, 10),
    "kill_worker_joblib": (stopped.kill_worker_joblib, 2),
    "kill_server": (stopped.kill_server, 5),
    "terminate": (stopped.terminate, 5),
    "interrupt": (stopped.interrupt, 6),
    "interrupt_twice": (stopped.interrupt_twice, 6),
    "interrupt_basic": (stopped.interrupt_basic, 3),
    "stop_and_go_on": (stopped.stop_and_go_on, 5),
    "full_disk": (around.full_disk, 10),
    "unreachable_server": (around.unreachable_server, 3),
    "cut_server": (around.cut_server, 4),
    "restarted_server": (around.restarted_server, 2),
    "truncated_record": (damaged.truncated_record, 6),
    "other_schema": (damaged.other_schema, 4),
    "damaged_arrays": (damaged.damaged_arrays, 4),
    "damaged_fit": (damaged.damaged_fit, 5),
    "resumed_training": (damaged.resumed_training, 3),
    "damaged_checkpoint": (damaged.damaged_checkpoint, 4),
    "killed_and_damaged": (damaged.killed_and_damaged, 6),
    "damaged_list": (damaged.damaged_list, 2),
    "swapped_twins": (misplaced.swapped_twins, 10),
    "foreign_fit": (misplaced.foreign_fit, 8),
    "odd_kind": (misplaced.odd_kind, 14),
    "unreadable": (misplaced.unreadable, 8),
    "moved_store": (misplaced.moved_store, 6),
    "no_inodes": (around.no_inodes, 10),
    "closed_streams": (stopped.closed_streams, 6),
    "overlapping": (stopped.overlapping, 8),
    "two_at_once": (stopped.two_at_once, 6),
    "two_at_once_one_killed": (stopped.two_at_once_one_killed, 4),
}
SERVED = {"cut_server", "restarted_server"}

"""Recourse: the least that a person could change to be decided on favourably.

A counterfactual is a row of the same person, with some of the columns changed that the data set
declares as actionable, each in its allowed direction and within its bounds.
"""

from trustbench.methods.recourse.actions import Actions, Norm
from trustbench.methods.recourse.asked import Owed, Search, Searching, copies, owed
from trustbench.methods.recourse.found import Recourse
from trustbench.methods.recourse.genetic import Evolution
from trustbench.methods.recourse.goal import Goal
from trustbench.methods.recourse.gradient import Linearisation
from trustbench.methods.recourse.linear import nearest

__all__ = [
    "Actions",
    "Evolution",
    "Goal",
    "Linearisation",
    "Norm",
    "Owed",
    "Recourse",
    "Search",
    "Searching",
    "copies",
    "nearest",
    "owed",
]

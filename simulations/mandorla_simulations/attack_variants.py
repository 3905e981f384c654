"""Variants of a scenario in which all attackers stay at one lab, or all adapt."""

from __future__ import annotations

from .scenario.model import Campaign, Rotate, Scenario
from .study_options import Attack


def with_attack(scenario: Scenario, attack: Attack) -> Scenario:
    """Return a scenario with its attackers changed as an attack says."""
    match attack:
        case Attack.CONFIGURED:
            return scenario
        case Attack.STAY:
            campaigns = [_staying(scenario, campaign) for campaign in scenario.campaigns]
        case Attack.ADAPTIVE:
            campaigns = [
                campaign.model_copy(update={"adaptive": campaign.adaptive or scenario.adaptive})
                for campaign in scenario.campaigns
            ]
    return scenario.model_copy(update={"campaigns": tuple(campaigns)})


def _staying(scenario: Scenario, campaign: Campaign) -> Campaign:
    """Keep a campaign at the least vigilant of its labs, which is the attacker's best choice."""
    vigilance = {lab.name: lab.vigilance for lab in scenario.labs}
    labs = sorted(campaign.labs, key=lambda name: vigilance[name])
    rotation = campaign.rotation.model_copy(update={"policy": Rotate.STAY, "pivot": None})
    return campaign.model_copy(update={"rotation": rotation, "labs": tuple(labs)})

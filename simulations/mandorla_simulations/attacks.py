"""What becomes of a scenario's campaigns when all of them stay at one lab, or all adapt."""

from __future__ import annotations

from .scenario.model import Attack, Rotate, Scenario


def under(scenario: Scenario, attack: Attack) -> Scenario:
    """Return a scenario with its attackers changed."""
    match attack:
        case Attack.CONFIGURED:
            return scenario
        case Attack.STAY:
            campaigns = [
                campaign.model_copy(
                    update={
                        "rotation": campaign.rotation.model_copy(
                            update={"policy": Rotate.STAY, "pivot": None}
                        )
                    }
                )
                for campaign in scenario.campaigns
            ]
        case Attack.ADAPTIVE:
            campaigns = [
                campaign.model_copy(update={"adaptive": campaign.adaptive or scenario.adaptive})
                for campaign in scenario.campaigns
            ]
    return scenario.model_copy(update={"campaigns": tuple(campaigns)})

"""A lab learns the common values of benign traffic, and leaves them out (SPEC A.8)."""

from mandorla_protocol.fingerprints import CommonValues


def test_a_value_is_common_if_one_in_a_thousand_accounts_has_it() -> None:
    learnt = CommonValues.learn({"a": 20, "b": 19, "c": 10_000}, 20_000)
    assert learnt.values == {"a", "c"}
    assert learnt.without(["b", "a", "d", "c"]) == ("b", "d")


def test_few_accounts_make_nothing_common() -> None:
    assert CommonValues.learn({"a": 9, "b": 10}, 10).values == {"b"}
    assert CommonValues.learn({"a": 9}, 9).values == frozenset()


def test_the_share_can_be_set() -> None:
    assert CommonValues.learn({"a": 99, "b": 100}, 1_000, one_in=10, min_accounts=1).values == {"b"}


def test_without_common_values_all_values_stay() -> None:
    assert CommonValues().without(["b", "a"]) == ("b", "a")


def test_it_prints_without_its_values() -> None:
    assert repr(CommonValues(frozenset(["sentinel"]))) == "CommonValues(1)"

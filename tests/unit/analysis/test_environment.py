import msgspec

from analysis import environment


def runs_with(made_up, *facts):
    runs, _ = made_up.campaign(1, rounds=1)
    return [msgspec.structs.replace(runs[0], facts=known) for known in facts]


def test_what_differs_what_is_missing_and_what_is_shared(made_up):
    runs = runs_with(made_up, {"host.0": {"kernel": "6.1", "cpu": "A", "old": "1"}},
                     {"host.0": {"kernel": "6.12", "cpu": "A"}})
    (machine,) = environment.machines(runs)
    assert [(fact.name, fact.values, fact.differs) for fact in machine.facts] == [
        ("kernel", ("6.1", "6.12"), True), ("old", ("1", ""), False)]
    assert machine.same == (("cpu", "A"),)
    assert machine.differing == 1


def test_a_run_without_the_machine_takes_no_part(made_up):
    (target, client) = environment.machines(runs_with(made_up, {"target": {"vendor": "V"}},
                                                      {"target": {"vendor": "W"}, "client": {"kernel": "6.1"}}))
    assert (target.name, target.runs, client.name, client.runs) == ("target", (0, 1), "client", (1,))
    assert client.facts == ()


def test_of_long_lists_only_what_is_not_common_is_shown(made_up):
    flags = " ".join(f"f{n}" for n in range(20))
    runs = runs_with(made_up, {"guest": {"flags": f"{flags} avx"}}, {"guest": {"flags": f"sse {flags}"}})
    (machine,) = environment.machines(runs)
    assert [(fact.values, fact.shared) for fact in machine.facts] == [(("avx", "sse"), 20)]


def test_conditions_are_median_and_largest(made_up):
    runs, _ = made_up.campaign(1, rounds=1)
    results = tuple(msgspec.structs.replace(result, conditions={"load.before": float(number)} if number else {})
                    for number, result in enumerate(runs[0].results))
    (condition,) = environment.conditions([msgspec.structs.replace(runs[0], results=results),
                                           msgspec.structs.replace(runs[0], results=())])
    assert (condition.name, condition.values) == ("load.before", ((1.5, 2.0), None))


def test_runs_of_one_target_are_told_apart_by_their_date(made_up, tidy):
    from analysis import rows

    twice = [tidy[0][0], msgspec.structs.replace(tidy[0][0], created="2026-10-02T00:00:00Z"), tidy[0][1]]
    dates = [when for _, when in environment.columns(rows.material(twice, []))]
    assert dates == ["2026-10-01T10:00:00Z", "2026-10-02T00:00:00Z", ""]

"""Plan, run, measure and judge: everything that is not specific to one platform or tool.

    scenario.toml + target.toml -> plan -> run -> results/<target>/<utc>-<scenario>/
    run folder + profile.toml -> judge -> findings -> analysis

Up to `run` a platform is touched; from the run folder on everything is pure, offline and repeatable.
Modules import only downwards; tests/unit/test_layers.py holds the order.
"""

"""What virtmark gives to other programs: runs and findings in formats that are not its own. Pure: runs in, text or
tables out.

    columns      the four flat tables, runs, steps, series, findings: names, types, units, meanings
    tabular      these tables as Arrow, CSV and Parquet
    openmetrics  findings as gauges with labels
    benchstat    scores of rounds as Go's benchmark text
    opentest     findings in the hierarchy format of Open Test Reporting
    ../junit     the small JUnit writer that findings and gates share

What is written can be read back equal; tests do, with the readers that others use.
"""

"""Many scans: what there is to do (`inputs`), one scan (`work`), who does them (`local`, `ray`), and what is kept of it.

    PATH... → scans → rows and outputs → journal → summary.csv, summary.jsonl, predictions.csv, index.html

A batch may be killed at any moment: the same command goes on where it was and ends with the same bytes.
"""

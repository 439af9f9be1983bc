"""The facts of a scan in every form: terminal, JSON, page, pictures, tables, volumes, DICOM.

`python -m lungscan.report` shows a sample.
"""

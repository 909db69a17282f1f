"""Settings, each declared once: flags, keys, errors, schema and reference page come from it.

``stream``       one stream (:class:`~tracker.settings.stream.StreamSettings`), a camera of a file, a run of the command
``service``      a whole cameras.yaml, and the device that models run on
``yaml_file``    cameras.yaml -> settings, errors with the line
``environment``  ``${NAME}`` filled in
``reference``    the reference page and the JSON schema
``choices``      the words that several stages know
``model``        what a field may say of itself, and the base class
"""

"""Settings for every test: property tests are never judged by the clock."""

from hypothesis import settings

settings.register_profile("perpchain", deadline=None, database=None)
settings.load_profile("perpchain")

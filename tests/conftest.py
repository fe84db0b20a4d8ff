"""Settings for every test: properties are judged by what they find, never by how long an example took."""

from hypothesis import settings

settings.register_profile("virtmark", deadline=None)
settings.load_profile("virtmark")

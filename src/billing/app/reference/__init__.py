"""The API's description and its pages: OpenAPI documents of both planes, and what they look like to people."""

"""A seed enters, rendered worlds with exact truth leave: the offline demo, the tests and training use them."""

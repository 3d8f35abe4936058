"""One suite for all drivers of the backplane, and what only Redis can show: two servers, a link that breaks."""

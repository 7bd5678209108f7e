module tradecap/validator

go 1.25.5

require github.com/docker/compose/v5 v5.1.2

// As docker/compose excludes them itself: versions that nobody may choose, older than what they seem.
exclude (
	github.com/davecgh/go-spew v1.1.2-0.20180830191138-d8f796af33cc
	github.com/pmezard/go-difflib v1.0.1-0.20181226105442-5d4384ee4fb2
)

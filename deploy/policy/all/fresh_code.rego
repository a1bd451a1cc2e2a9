# Restricted data asks for a code that is at most an hour old.
package ringfence.all

import rego.v2

# Everything that is not known to be less than restricted counts as restricted.
restricted if not input.resource.classification in {"public", "internal", "confidential"}

obligations contains {"max_code_age": 3600} if restricted

# Changes to claims need a fresh code and a ticket.
package ringfence.clusters["claims"]

import rego.v2

allow if reading

allow if {
	regex.match(`^[A-Z]{2,8}-[0-9]{1,7}$`, input.request.headers["x-ticket"])
	weekday
}

reading if input.request.method in {"GET", "HEAD"}

weekday if time.weekday(input.request.time_ns) in {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}

obligations contains {"max_code_age": 900} if not reading

obligations contains {"max_response_bytes": 10485760, "mask": ["iban"]}

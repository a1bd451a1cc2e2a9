package ringfence.all_test

import rego.v2

import data.ringfence.all

codes := {reason.code | some reason in all.deny} | {reason.code | some reason in all.challenge}

test_compared if "compared" in codes with input as {"request": {"headers": {"user-agent": "curl"}}}

test_older if "older" in codes with input as {"subject": {"factors": {"password": 90000}}}

test_local_name if "local_name" in codes with input as {"facts": {"zone": "home"}}

test_function if "function" in codes with input as {"request": {"source_ip": "203.0.113.9"}}

test_library if "library" in codes with input as {"request": {"headers": {"referer": "https://elsewhere.example/"}}}

test_library_function if "library_function" in codes with input as {"request": {"headers": {"origin": "null"}}}

test_default_value if "default_value" in codes with input as {"request": {"headers": {"x-purpose": "play"}}}

test_interpolated if "interpolated" in codes with input as {"request": {"method": "PUT"}, "subject": {"email": "kim@vendor.example"}}

test_in_a_list if "in_a_list" in codes with input as {"facts": {"agreements": [{"name": "a", "version": 1, "accepted_version": 1, "accepted_ns": 1}, {"name": "b", "version": 1, "accepted_version": 1, "accepted_ns": 5000}]}}

test_every_one if "every_one" in codes with input as {"request": {"query": {"scope": ["all"]}}}

test_comprehension if "comprehension" in codes with input as {"request": {"query": {"word": ["a", "secret"]}}}

test_double_negation if "double_negation" in codes with input as {"request": {"tls": {"version": "1.0", "cipher": "x"}}}

test_member if "member" in codes with input as {"resource": {"classification": "sealed"}}

test_otherwise if "otherwise" in codes with input as {"resource": {"route": "admin"}}

test_default_rule if "default_rule" in codes with input as {"request": {"headers": {"content-type": "application/x-sh"}}}

test_challenged if "challenged" in codes with input as {"request": {"host": "old.example"}}

test_table if "table" in codes with input as {"request": {"headers": {"accept": "text/x-dump"}}}

test_pattern if "pattern" in codes with input as {"request": {"headers": {"x-ticket": "T-000"}}}

test_soon_over if "soon_over" in codes with input as {"request": {"time_ns": 1767614400000000000}, "facts": {"account": {"ends_ns": 1767614400000000001}}}

test_walked if "walked" in codes with input as {"request": {"query": {"sql": ["drop table"]}}}

test_flag if "flag" in codes with input as {"facts": {"engagement": {"trust_provider_factor": true}}}

test_looked_through if "looked_through" in codes with input as {"request": {"headers": {"content-length": "2000000"}}}

test_of_a_person if "of_a_person" in codes with input as {"facts": {"vendor": {"owner": {"email": "gone@customer.example"}}}}

test_computed if "computed" in codes with input as {"request": {"query": {"debug": ["1"]}}}

test_obligations if count(all.obligations) == 1 with input as {"request": {"headers": {"x-purpose": "export", "x-ticket": "T-1"}}}

test_sound_method if "sound_method" in codes with input as {"request": {"method": "TRACE"}}

test_sound_negation if "sound_negation" in codes with input as {"request": {"raw_path": false}}

test_sound_helper if "sound_helper" in codes with input as {"subject": {"session": "x"}}

package ringfence.assignment_test

import rego.v2

import data.ringfence.assignment
import data.ringfence.sample

codes := {reason.code | some reason in assignment.deny}

spoken(protocol, access) := sample.with_values([
	{"op": "replace", "path": "/request/protocol", "value": protocol},
	{"op": "replace", "path": "/facts/assignment/access", "value": access},
	{"op": "replace", "path": "/facts/assignment/methods", "value": []},
])

test_protocols[name] if {
	some name, example in {
		"reading pages": {"input": spoken("http", "read"), "want": set()},
		"reading is no WebSocket": {"input": spoken("websocket", "read"), "want": {"method_out_of_scope"}},
		"writing is": {"input": spoken("websocket", "write"), "want": set()},
		"no such protocol": {"input": spoken("gopher", "read"), "want": {"method_out_of_scope"}},
	}
	codes == example.want with input as example.input
}

asked(method, access, methods) := sample.with_values([
	{"op": "replace", "path": "/request/method", "value": method},
	{"op": "replace", "path": "/facts/assignment/access", "value": access},
	{"op": "replace", "path": "/facts/assignment/methods", "value": methods},
])

test_methods[name] if {
	some name, example in {
		"read reads": {"input": asked("GET", "read", []), "want": set()},
		"read heads": {"input": asked("HEAD", "read", []), "want": set()},
		"read asks": {"input": asked("OPTIONS", "read", []), "want": set()},
		"read does not write": {"input": asked("POST", "read", []), "want": {"method_out_of_scope"}},
		"read does not connect": {"input": asked("CONNECT", "read", []), "want": {"method_out_of_scope"}},
		"spelling counts": {"input": asked("get", "read", []), "want": {"method_out_of_scope"}},
		"write writes": {"input": asked("DELETE", "write", []), "want": set()},
		"only what is listed": {"input": asked("DELETE", "write", ["GET", "POST"]), "want": {"method_out_of_scope"}},
		"listed": {"input": asked("POST", "write", ["GET", "POST"]), "want": set()},
		"listed beyond the access": {"input": asked("POST", "read", ["POST"]), "want": {"method_out_of_scope"}},
		"no such access": {"input": asked("GET", "all", []), "want": {"method_out_of_scope"}},
	}
	codes == example.want with input as example.input
}

at(path, paths) := sample.with_values([
	{"op": "replace", "path": "/request/path", "value": path},
	{"op": "replace", "path": "/facts/assignment/paths", "value": paths},
])

test_paths[name] if {
	some name, example in {
		"everything": {"input": at(["a", "b"], [[]]), "want": set()},
		"root": {"input": at([""], [[]]), "want": set()},
		"the prefix itself": {"input": at(["a"], [["a"]]), "want": set()},
		"the prefix as a folder": {"input": at(["a", ""], [["a"]]), "want": set()},
		"below": {"input": at(["a", "b", "c"], [["a", "b"]]), "want": set()},
		"another of several": {"input": at(["b"], [["a"], ["b"]]), "want": set()},
		"whole segments only": {"input": at(["ab"], [["a"]]), "want": {"path_out_of_scope"}},
		"above": {"input": at(["a"], [["a", "b"]]), "want": {"path_out_of_scope"}},
		"beside": {"input": at(["c"], [["a"], ["b"]]), "want": {"path_out_of_scope"}},
		"no prefix": {"input": at(["a"], []), "want": {"path_out_of_scope"}},
	}
	codes == example.want with input as example.input
}

test_nothing_is_in_scope_without_an_assignment if {
	not assignment.in_scope with input as sample.removed("/facts/assignment")
}

// ClickHouse's own engine behind the part of its HTTP interface that Ringfence
// uses: statements in a form with param_ fields, inserts with the statement in
// the URL, settings in the URL, errors by status and header. It prints its port.
import http from "node:http";
import zlib from "node:zlib";
import { createRequire } from "node:module";

const { Session } = createRequire(import.meta.url)("chdb");
const [, , data, user, password] = process.argv;
const session = new Session(data);
session.query("CREATE DATABASE IF NOT EXISTS logs");

const quote = (s) => "'" + s.replaceAll("\\", "\\\\").replaceAll("'", "\\'") + "'";
const body = async (request) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  const all = Buffer.concat(parts);
  return request.headers["content-encoding"] === "gzip" ? zlib.gunzipSync(all) : all;
};

const answer = async (request) => {
  const url = new URL(request.url, "http://127.0.0.1");
  const content = await body(request);
  const expected = "Basic " + Buffer.from(user + ":" + password).toString("base64");
  if (request.headers.authorization !== expected) {
    throw new Error("Code: 516. DB::Exception: Authentication failed");
  }
  let sql = url.searchParams.get("query");
  for (const [name, value] of url.searchParams) {
    if (name === "query" || name === "wait_end_of_query") continue;
    session.query("SET " + name + " = " + quote(value));
  }
  if (sql === null) {
    const form = await new Response(content, { headers: { "content-type": request.headers["content-type"] } }).formData();
    sql = form.get("query");
    for (const [name, value] of form) {
      if (name.startsWith("param_")) session.query("SET " + name + " = " + quote(value));
    }
  } else {
    sql += "\n" + content.toString();
  }
  return session.query(sql);
};

const server = http.createServer(async (request, response) => {
  try {
    const text = await answer(request);
    response.end(text);
  } catch (error) {
    const message = String(error.message).replace(/^Query failed: /, "");
    const code = /Code: (\d+)/.exec(message)?.[1] ?? "1";
    const status = { 516: 403, 497: 403, 60: 404, 81: 404, 62: 400, 26: 400, 27: 400, 117: 400 }[code] ?? 500;
    response.writeHead(status, { "X-ClickHouse-Exception-Code": code });
    response.end(message);
  }
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.resume().on("end", () => process.exit(0)); // with the test

// Bundles the editor into one file, which the program embeds. The licences of
// what is in it stand at its end.
import { build } from "esbuild";
import { readFileSync, writeFileSync } from "node:fs";

const out = process.argv[2] ?? "../static/editor.js";
const result = await build({
  entryPoints: ["src/main.js"], bundle: true, format: "esm", target: "es2022",
  minify: true, charset: "utf8", legalComments: "none", metafile: true, write: false,
});

const licences = new Map();
for (const path of Object.keys(result.metafile.inputs).sort()) {
  const name = path.match(/^node_modules\/((?:@[^/]+\/)?[^/]+)\//)?.[1];
  if (!name) continue;
  const text = readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim();
  const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8"));
  licences.set(text, [...new Set([...(licences.get(text) ?? []), `${name} ${version}`])]);
}
let end = "";
for (const [text, names] of licences) end += `/*!\nPart of this file: ${names.join(", ")}\n\n${text}\n*/\n`;
writeFileSync(out, result.outputFiles[0].text + end);

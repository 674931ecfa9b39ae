// Run the Cairo compiler, which is a WebAssembly module, over one source string, to which
// all sources are joined.
//
//   node compile.mjs MODULES class SOURCE...  print the contract class as JSON
//   node compile.mjs MODULES test SOURCE...   run the unit tests, print the report
//
// MODULES is the node_modules folder. Exit code 1: the compiler or a test refuses.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, action, ...paths] = process.argv.slice(2);
const compiler = resolve(join(modules, "wasm-cairo"));
const cairo = await import(pathToFileURL(join(compiler, "wasm-cairo.js")));
await cairo.default({ module_or_path: readFileSync(join(compiler, "wasm-cairo_bg.wasm")) });

const source = paths.map((path) => readFileSync(path, "utf8")).join("\n");

function run() {
  if (action === "class") {
    return cairo.compileStarknetContract(source, true, false);
  }
  if (action === "test") {
    return cairo.runTests(source, true, "", false, false, true, "none", false, false);
  }
  throw new Error(`no such action: ${action}`);
}

const started = Date.now();
const output = String(run());
const passed = action === "test" ? output.includes("test result: ok.") : output.startsWith("{");
process.stdout.write(output + "\n");
process.stderr.write(`${action}: ${((Date.now() - started) / 1000).toFixed(1)} s\n`);
process.exitCode = passed ? 0 : 1;

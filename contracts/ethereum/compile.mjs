// Compile the Solidity contracts of this folder: one standard JSON request in, the answer out.
//
//   node compile.mjs MODULES < REQUEST > ANSWER
//
// MODULES is the node_modules folder. Exit code 0 also where the answer holds errors.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const modules = resolve(process.argv[2]);
const solc = createRequire(join(modules, "solc", "index.js"))("solc");
process.stdout.write(solc.compile(readFileSync(0, "utf8")));

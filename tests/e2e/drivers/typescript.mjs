// Plays both TypeScript SDKs as clients: `node typescript.mjs FOLDER`, FOLDER being where one of them is installed.
// Standard input: a JSON list of cells {url | command, environment, folder, options, tool, arguments}.
// Standard output: a JSON list of what came of each: {version, tools, call, unknown}, or {failed} without a connection.
import { createRequire } from "node:module";
import { join } from "node:path";
import { text } from "node:stream/consumers";

const require = createRequire(join(process.argv[2], "package.json"));
const sdk = first(
  () => ({
    ...require("@modelcontextprotocol/client"),
    ...require("@modelcontextprotocol/client/stdio"),
  }),
  () => ({
    ...require("@modelcontextprotocol/sdk/client/index.js"),
    ...require("@modelcontextprotocol/sdk/client/stdio.js"),
    ...require("@modelcontextprotocol/sdk/client/sse.js"),
    ...require("@modelcontextprotocol/sdk/client/streamableHttp.js"),
  }),
);

function first(...ways) {
  for (const way of ways) {
    try {
      return way();
    } catch (problem) {
      if (problem.code !== "MODULE_NOT_FOUND") throw problem;
    }
  }
  throw new Error(`no SDK in ${process.argv[2]}`);
}

function transport({ url, sse, command, environment, folder }) {
  if (url) return new sdk[sse ? "SSEClientTransport" : "StreamableHTTPClientTransport"](new URL(url));
  const [program, ...args] = command;
  return new sdk.StdioClientTransport({ command: program, args, env: environment, cwd: folder, stderr: "ignore" });
}

async function outcome(question) {
  try {
    return await question();
  } catch (problem) {
    return { error: problem.code ?? null, message: problem.message };
  }
}

async function play(cell) {
  const client = new sdk.Client({ name: "driver", version: "1" }, { capabilities: {}, ...cell.options });
  const way = transport(cell);
  let version = null;
  try {
    // The transport is told the version once it is settled; v2 also has it on the client.
    const told = way.setProtocolVersion?.bind(way);
    way.setProtocolVersion = (settled) => {
      version = settled;
      told?.(settled);
    };
    await client.connect(way);
    return {
      version: client.getNegotiatedProtocolVersion?.() ?? version,
      tools: await outcome(async () => (await client.listTools()).tools.map((tool) => tool.name)),
      call: await outcome(() => client.callTool({ name: cell.tool, arguments: cell.arguments })),
      unknown: await outcome(() => client.callTool({ name: "no-such-tool", arguments: {} })),
    };
  } catch (problem) {
    return { failed: problem.message, code: problem.code ?? null };
  } finally {
    await way.terminateSession?.().catch(() => {}); // closing alone leaves a session of HTTP behind
    await client.close();
  }
}

const results = [];
for (const cell of JSON.parse(await text(process.stdin))) results.push(await play(cell));
console.log(JSON.stringify(results));
process.exit(0);

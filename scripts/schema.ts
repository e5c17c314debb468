// Writes schema.json, which editors use for rules files, from the schema that files are checked against.
import { toJsonSchema } from "@valibot/to-json-schema";
import { writeFileSync } from "node:fs";
import { format } from "oxfmt";
import { rulesFileSchema } from "../src/config/schema.ts";

const schema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  ...toJsonSchema(rulesFileSchema, { errorMode: "throw" }),
};
const { code: text } = await format("schema.json", JSON.stringify(schema), { printWidth: 100 });
const [, , file = "schema.json"] = process.argv;
writeFileSync(file, text);

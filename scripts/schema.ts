// Writes schema.json, which editors use for rules files, from the schema that files are checked against.
import { toJsonSchema } from "@valibot/to-json-schema";
import { writeFileSync } from "node:fs";
import { format } from "prettier";
import { rulesFileSchema } from "../src/config/schema.ts";

const schema = {
  $schema: "http://json-schema.org/draft-07/schema#",
  ...toJsonSchema(rulesFileSchema, { errorMode: "throw" }),
};
const text = await format(JSON.stringify(schema), { parser: "json", printWidth: 100 });
const [, , file = "schema.json"] = process.argv;
writeFileSync(file, text);

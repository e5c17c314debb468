import { Redlock } from "bullmq-redlock";
import { startRedisNodes } from "bullmq-redlock/testing";

await using masters = await startRedisNodes(3);
await using redlock = new Redlock(masters.redlockOptions);
await redlock.ready(); // new masters vote once all of them have been seen
masters.pause(0); // one of three is silent
console.log(await redlock.using("account:42", () => "still done"));

// The replica set of one member, whose name every client resolves.

const WAIT_SECONDS = 60;

function reach(address) {
  const problem = `no mongod answers at ${address}: see the log of mongo-origin`;
  return waited(problem, () => new Mongo(`mongodb://${address}/?directConnection=true&serverSelectionTimeoutMS=2000`));
}

// Needs no user as long as there is none. A member that does not find itself in its configuration looks as if it had
// none, so the server is asked to initiate and may say that it is too late.
function initiate(admin, settings) {
  const hello = admin.hello();
  if (hello.setName === settings.replicaSet) {
    return;
  }
  if (hello.setName) {
    throw new Refusal(`the volume belongs to the replica set ${hello.setName}, not to ${settings.replicaSet}`);
  }
  if (!hello.isreplicaset) {
    throw new Refusal("mongod was started without --replSet, so it has no change streams");
  }
  try {
    const members = [{ _id: 0, host: settings.member }];
    admin.runCommand({ replSetInitiate: { _id: settings.replicaSet, members } });
    say(`replica set: initiated as ${settings.replicaSet}`);
  } catch (error) {
    if (error.codeName === "Unauthorized") {
      throw new Refusal(REFUSED);
    }
    if (error.codeName === "NodeNotFound" || error.codeName === "InvalidReplicaSetConfig") {
      throw new Refusal(`mongod does not find itself under the name ${settings.member}`);
    }
    if (error.codeName !== "AlreadyInitialized") {
      throw error;
    }
  }
}

// A volume that was moved from another machine names a member that nobody finds: it would never have a primary.
function mendMember(admin, member) {
  const config = admin.runCommand({ replSetGetConfig: 1 }).config;
  if (config.members.length > 1 || config.members[0].host === member) {
    return;
  }
  say(`replica set: its member was ${config.members[0].host}, now it is ${member}`);
  config.members[0].host = member;
  config.version += 1;
  admin.runCommand({ replSetReconfig: config, force: true });
}

function waitForPrimary(admin) {
  waited("the replica set elects no primary: see the log of mongo-origin", () => {
    if (!admin.hello().isWritablePrimary) {
      throw new Error("not yet");
    }
    return true;
  });
}

// Asks again for a minute; the last problem is told as `problem`, because a driver's words name no fix.
function waited(problem, ask) {
  const deadline = Date.now() + WAIT_SECONDS * 1000;
  for (;;) {
    try {
      // Not returned at once: the shell would wait for the answer outside of this block.
      const answer = ask();
      return answer;
    } catch (error) {
      if (Date.now() > deadline) {
        throw new Refusal(problem);
      }
    }
    sleep(200);
  }
}

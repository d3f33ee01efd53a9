// The replica set of one member, whose name every client resolves.

const WAIT_SECONDS = 60;

function reach(address) {
  const problem = `no mongod answers at ${address}: see the log of mongo-origin`;
  return waited(problem, () => new Mongo(`mongodb://${address}/?directConnection=true&serverSelectionTimeoutMS=2000`));
}

// The set may be initiated without a user as long as there is none; later, everybody may see that it was.
function initiate(admin, settings) {
  const hello = admin.hello();
  if (!hello.isreplicaset) {
    if (!hello.setName && hello.isWritablePrimary) {
      throw new Refusal("mongod was started without --replSet, so it has no change streams");
    }
    if (hello.setName && hello.setName !== settings.replicaSet) {
      throw new Refusal(`the volume belongs to the replica set ${hello.setName}, not to ${settings.replicaSet}`);
    }
    say("replica set: there already");
    return;
  }
  const config = { _id: settings.replicaSet, members: [{ _id: 0, host: settings.member }] };
  try {
    admin.runCommand({ replSetInitiate: config });
  } catch (error) {
    if (error.codeName === "NodeNotFound" || error.codeName === "InvalidReplicaSetConfig") {
      throw new Refusal(`mongod does not find itself under the name ${settings.member}`);
    }
    if (error.codeName === "Unauthorized") {
      throw new Refusal("the volume has users and no replica set: it was made by another set-up; start with an empty one");
    }
    if (error.codeName !== "AlreadyInitialized") {
      throw error;
    }
  }
  say(`replica set: initiated as ${settings.replicaSet}`);
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
      return ask();
    } catch (error) {
      if (Date.now() > deadline) {
        throw new Refusal(problem);
      }
    }
    sleep(200);
  }
}

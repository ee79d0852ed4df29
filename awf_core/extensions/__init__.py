"""What a plugin and the engine share: the protocols a plugin implements, and the values that pass between them.

Nothing here runs a workflow. Import from the modules; the package itself holds no names.

steps          a step type: StepType, StepContext, StepResult, StepAborted, Routing
operations     an operation of `type: operation`: Operation, OperationResult, OperationFailed
agents         an agent provider, and the user it talks with: AgentProvider, AgentRequest, AgentAnswer, AgentFailed
executors      what runs a whole workflow in place of the engine: Executor, ExecutionRequest
outward        what an operation or an agent provider may use: OutwardContext
deadline       how long it may take, and the request to stop: Deadline, Cancel
results        what a run returns: Run, RunError, StateRecord
conversation   what an agent and its user said: Conversation, Turn, Tokens
environment    the process's environment as runs see it: Environment
"""

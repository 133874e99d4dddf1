//! Looks at an org: limits, objects, fields.

use super::desk::Desk;

#[tokio::test]
async fn limits_objects_and_fields() {
    let desk = Desk::new().await;
    let limits = desk.run("limits").await.with_code(0).stdout;
    insta::assert_snapshot!(limits, @"
    ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────
     Limit                                                 Used      Left        Of   Comes back                      
    ══════════════════════════════════════════════════════════════════════════════════════════════════════════════════
     API calls (DailyApiRequests)                             1    99,999   100,000   24 hours after each use         
     batches of bulk loads (DailyBulkApiBatches)              0    15,000    15,000   24 hours after each use         
     query jobs (DailyBulkV2QueryJobs)                        0    10,000    10,000   24 hours after each use         
     MB of query results (DailyBulkV2QueryFileStorageMB)      0   976,562   976,562   24 hours after each use         
     MB of records (DataStorageMB)                            0    10,240    10,240   as records or files are deleted 
     MB of files (FileStorageMB)                              0    10,240    10,240   as records or files are deleted 
    ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────
    ");
    let objects = desk.run("objects acc").await.with_code(0);
    insta::assert_snapshot!(objects.stdout + &objects.stderr, @r#"
    ───────────────────────────────────────────────────
     Object    Label     You may                       
    ═══════════════════════════════════════════════════
     Account   Account   create, change, delete, query 
    ───────────────────────────────────────────────────
    1 object with "acc"; --all also lists those that nothing can be loaded into
    "#);
    let fields = desk.run("describe Contact --writable").await.with_code(0);
    insta::assert_snapshot!(fields.stdout + &fields.stderr, @"
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
     Field                Label                 Type              Write      Notes                                 
    ═══════════════════════════════════════════════════════════════════════════════════════════════════════════════
     AccountId            Account ID            reference         yes        refers to Account as Account          
     LastName             Last Name             string(80)        required                                         
     FirstName            First Name            string(40)        yes                                              
     Salutation           Salutation            picklist          yes        Mr., Ms., Mrs., Dr., Prof., Mx.       
     MailingStreet        Mailing Street        textarea(255)     yes                                              
     MailingCity          Mailing City          string(40)        yes                                              
     MailingState         Mailing State         string(80)        yes                                              
     MailingPostalCode    Mailing Postal Code   string(20)        yes                                              
     MailingCountry       Mailing Country       string(80)        yes                                              
     Phone                Phone                 phone(40)         yes                                              
     MobilePhone          Mobile Phone          phone(40)         yes                                              
     ReportsToId          Reports To ID         reference         yes        refers to Contact as ReportsTo        
     Email                Email                 email(80)         yes        names records                         
     Title                Title                 string(128)       yes                                              
     Department           Department            string(80)        yes                                              
     LeadSource           Lead Source           picklist          yes        Web, Phone Inquiry, Partner Referral, 
                                                                             Purchased List, Other                 
     Birthdate            Birthdate             date              yes                                              
     Description          Description           textarea(32000)   yes                                              
     OwnerId              Owner ID              reference         yes        refers to User as Owner               
     HasOptedOutOfEmail   Email Opt Out         boolean           yes                                              
     DoNotCall            Do Not Call           boolean           yes                                              
     Revenue_Share__c     Revenue Share         percent(5,2)      yes                                              
     Ext_Id__c            Ext Id                string(80)        yes        external ID; unique                   
    ───────────────────────────────────────────────────────────────────────────────────────────────────────────────
    Contact (Contact): 23 of 34 fields; you may create, change, delete, query
    ");
}

#[tokio::test]
async fn looks_for_programs() {
    let desk = Desk::new().await;
    let limits = desk.run("limits --format csv").await.with_code(0).stdout;
    insta::assert_snapshot!(limits, @"
    name,label,max,used,left,returns
    DailyApiRequests,API calls,100000,1,99999,24 hours after each use
    DailyBulkApiBatches,batches of bulk loads,15000,0,15000,24 hours after each use
    DailyBulkV2QueryJobs,query jobs,10000,0,10000,24 hours after each use
    DailyBulkV2QueryFileStorageMB,MB of query results,976562,0,976562,24 hours after each use
    DataStorageMB,MB of records,10240,0,10240,as records or files are deleted
    FileStorageMB,MB of files,10240,0,10240,as records or files are deleted
    ");
    let objects = desk.run("objects Contact --format json").await;
    insta::assert_snapshot!(objects.with_code(0).stdout, @r#"{"name":"Contact","label":"Contact","custom":false,"create":true,"change":true,"delete":true,"query":true}"#);
    let fields = desk.run("describe Contact --format csv").await;
    let fields = fields.with_code(0).stdout;
    let mut lines = fields.lines();
    insta::assert_snapshot!(lines.next().unwrap(), @"name,label,type,length,precision,scale,required,nillable,create,change,calculated,auto_number,external_id,id_lookup,unique,case_sensitive,references,relationship,master_detail,restricted,values");
    assert!(lines.any(|line| line.starts_with("Ext_Id__c,")), "{fields}");
    let fields = desk.run("describe Contact --format json").await;
    let names = fields.stdout.lines().map(|line| {
        let field: serde_json::Value = serde_json::from_str(line).unwrap();
        field["name"].as_str().unwrap().to_owned()
    });
    assert!(names.collect::<Vec<_>>().contains(&"LastName".to_owned()));
}

#[tokio::test]
async fn objects_that_are_not_there() {
    let desk = Desk::new().await;
    let missing = desk.run("describe Contcat").await.with_code(2).stderr;
    insta::assert_snapshot!(missing, @"error: object Contcat does not exist or the user may not see it; check the API name, or grant the object permission in a profile or permission set of the integration user; did you mean Contact?");
    let missing = desk.run("describe Nothing__c").await.with_code(2).stderr;
    insta::assert_snapshot!(missing, @"error: object Nothing__c does not exist or the user may not see it; check the API name, or grant the object permission in a profile or permission set of the integration user");
}
